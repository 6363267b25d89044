"""The fp16 loss scaler: halves on overflow, doubles after a run of good steps."""

from taixue.parallel.loss_scale import LossScaler


def test_scale_follows_overflows_and_good_steps() -> None:
    scaler = LossScaler(scale=8.0, patience=3)
    scaler.overflowed()
    assert (scaler.scale, scaler.good_steps) == (4.0, 0)
    for _ in range(3):
        scaler.succeeded()
    assert (scaler.scale, scaler.good_steps) == (8.0, 0)
    scaler.succeeded()
    scaler.overflowed()
    assert (scaler.scale, scaler.good_steps) == (4.0, 0)
