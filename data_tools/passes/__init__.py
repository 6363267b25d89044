"""The passes of `taixue corpus build`: numbered tasks that share nothing but a folder.

clean -> match -> resolve -> (paragraphs) -> deal -> gather; `schedule` says which of them a configuration needs. A
task reads finished files, writes its own under temporary names, and publishes a record last; so every task can be
killed and run again, by any rank, and gives the same bytes.
"""
