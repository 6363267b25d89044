"""A build on a Ray cluster of two nodes, one of which is lost in the middle, has the bytes of a local one.

Opt-in, since a cluster takes its time to start: TAIXUE_TEST_RAY=1.
"""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taixue import UserError
from taixue.data_tools.build.builder import build
from taixue.data_tools.build.on_ray import RayCluster

from ..passes.test_build_passes import contents, planted, settings

pytestmark = [
    pytest.mark.skipif(
        "TAIXUE_TEST_RAY" not in os.environ, reason="set TAIXUE_TEST_RAY=1 to start Ray clusters"
    ),
    pytest.mark.timeout(600),
]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="Ray is not installed (extra ray)")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    small = {"num_cpus": 1, "object_store_memory": 100_000_000}
    found = Cluster(initialize_head=True, head_node_args=small)
    found.add_node(**small)
    ray.init(address=found.address, log_to_driver=False)
    yield found
    ray.shutdown()
    found.shutdown()


def test_a_node_is_lost_in_the_middle(cluster: Any, tmp_path: Path, t5_folder: Path) -> None:
    planted(tmp_path)
    local = contents(build(settings(tmp_path, t5_folder, "local", shard_bytes=4_000)))
    config = settings(tmp_path, t5_folder, "cluster", shard_bytes=4_000)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            build(config, on="ray")
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    made = Path(config.output, "work", "clean")
    while thread.is_alive() and len(list(made.glob("*.json"))) < 8:
        time.sleep(0.05)
    (lost,) = cluster.worker_nodes
    assert thread.is_alive()
    cluster.remove_node(lost, allow_graceful=False)
    assert not Path(config.output, "corpus.json").exists()
    cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
    thread.join()
    assert failed == []
    assert contents(Path(config.output)) == local


class _Task:
    """Fails on a node, as told."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __str__(self) -> str:
        return self.how

    def is_finished(self) -> bool:
        return True

    def run(self) -> Iterator[int]:
        if self.how == "dies":
            os._exit(3)
        if self.how == "mistake":
            raise UserError("planted")
        if self.how == "disk":
            raise OSError(28, "No space left on device")
        yield 5


def test_failures_are_those_of_local_work(cluster: Any) -> None:
    with RayCluster(0) as processes:
        assert list(processes.run([_Task("works")] * 3)) == [5, 5, 5]
        with pytest.raises(UserError, match="planted"):
            list(processes.run([_Task("works"), _Task("mistake")]))
        with pytest.raises(OSError) as caught:
            list(processes.run([_Task("disk")]))
        assert caught.value.errno == 28
        with pytest.raises(UserError, match="Ray lost dies 4 times"):
            list(processes.run([_Task("dies")]))
