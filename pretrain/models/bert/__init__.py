"""BERT (Devlin et al. 2019) and Megatron-BERT (Shoeybi et al. 2019)."""
