"""Storage for torch.distributed.checkpoint (DCP) made of safetensors and JSON: nothing in it is ever unpickled.

DCP plans who writes and reads which piece, so that any layout loads any layout; this module is the disk
side. Its own FileSystemWriter keeps the plan in a pickle and tensors in torch.save's format; ours writes
one safetensors file per rank and an index in JSON, digests each file where it was written, and commits the
folder as its last act.
"""

import dataclasses
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import orjson
import torch
from safetensors import safe_open
from torch.distributed.checkpoint import StorageReader, StorageWriter
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner, SavePlan, SavePlanner
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from . import layout
from .tensor_file import write_tensors


@dataclasses.dataclass(frozen=True)
class Piece:
    """The file a piece of a tensor was written to; the key inside is the tensor's name."""

    file: str
    digest: layout.Digest


class Writer(StorageWriter):
    """Writes one checkpoint: each rank its file, the coordinator the index, the state and the commit.

    Raises (as DCP's CheckpointException, on every rank) what any rank's file system raised; then
    nothing is committed.
    """

    def __init__(self, checkpoint: Path, step: int, state: dict[str, Any]) -> None:
        self.final = checkpoint
        self.temporary = checkpoint.with_name(checkpoint.name + layout.UNFINISHED)
        self.step = step
        self.state = state

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        """Coordinator, before anyone writes: a clean temporary folder, one file name per rank."""
        layout.clear_unfinished(self.final.parent)
        self.temporary.mkdir(parents=True)
        return [
            dataclasses.replace(plan, storage_data=f"rank-{rank:05d}.safetensors")
            for rank, plan in enumerate(plans)
        ]

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Write, sync and digest this rank's pieces. Empty pieces (more ranks than rows) are left out."""
        tensors: dict[str, torch.Tensor] = {}
        for item in plan.items:
            tensor = planner.resolve_data(item)
            assert isinstance(tensor, torch.Tensor), f"{item.index.fqn} is not a tensor"
            if tensor.numel() > 0:
                assert item.index.fqn not in tensors, f"two pieces of {item.index.fqn} on one rank"
                tensors[item.index.fqn] = tensor
        results: list[WriteResult] = []
        if tensors:
            path = self.temporary / plan.storage_data
            piece = Piece(path.name, write_tensors(path, tensors))
            results = [
                WriteResult(item.index, tensors[item.index.fqn].nbytes, piece)
                for item in plan.items
                if item.index.fqn in tensors
            ]
        future: Future[list[WriteResult]] = Future()
        future.set_result(results)
        return future

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Coordinator, after all have written: index, state, manifest, rename."""
        pieces = {result.index: result.storage_data for several in results for result in several}
        files = {piece.file: piece.digest for piece in pieces.values()}
        index = {"tensors": _describe(metadata, pieces)}
        files[layout.INDEX] = layout.write_json(self.temporary / layout.INDEX, index)
        files[layout.STATE] = layout.write_json(self.temporary / layout.STATE, self.state)
        layout.commit(self.temporary, self.final, self.step, files)

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        return plan

    def reset(self, checkpoint_id: str | os.PathLike | None = None) -> None:
        pass

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        pass

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike) -> bool:
        return True


class Reader(StorageReader):
    """Reads pieces of a checkpoint whose digests have been verified; only the bytes a rank needs are touched."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self.files: dict[MetadataIndex, str] = {}

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """Index as DCP wants it."""
        tensors: dict[str, Any] = {}
        for name, entry in read_index(self.checkpoint).items():
            chunks = []
            for chunk in entry["chunks"]:
                offsets = torch.Size(chunk["offsets"])
                chunks.append(ChunkStorageMetadata(offsets, torch.Size(chunk["sizes"])))
                self.files[MetadataIndex(name, offsets)] = chunk["file"]
            properties = TensorProperties(dtype=getattr(torch, entry["dtype"]))
            tensors[name] = TensorStorageMetadata(properties, torch.Size(entry["shape"]), chunks)
        return Metadata(tensors)

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        """Copy every wanted piece into its place, converted to the type that is there."""
        by_file = defaultdict(list)
        for item in plan.items:
            by_file[self.files[item.storage_index]].append(item)
        for name, items in by_file.items():
            with safe_open(self.checkpoint / name, framework="pt") as file:
                for item in items:
                    target = planner.resolve_tensor(item).detach()
                    region = zip(item.storage_offsets, item.lengths, strict=True)
                    slices = tuple(slice(start, start + length) for start, length in region)
                    target.copy_(file.get_slice(item.storage_index.fqn)[slices])
                    planner.commit_tensor(item, target)
        future: Future[None] = Future()
        future.set_result(None)
        return future

    def prepare_local_plan(self, plan: LoadPlan) -> LoadPlan:
        return plan

    def prepare_global_plan(self, plans: list[LoadPlan]) -> list[LoadPlan]:
        return plans

    def reset(self, checkpoint_id: str | os.PathLike | None = None) -> None:
        pass

    def set_up_storage_reader(
        self, metadata: Metadata, is_coordinator: bool, *args: Any, **kwargs: Any
    ) -> None:
        pass

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike) -> bool:
        return True


def read_index(checkpoint: Path) -> dict[str, Any]:
    """name -> {"dtype", "shape", "chunks": [{"file", "offsets", "sizes"}]}."""
    return orjson.loads((checkpoint / layout.INDEX).read_bytes())["tensors"]


def _describe(metadata: Metadata, pieces: dict[MetadataIndex, Piece]) -> dict[str, Any]:
    described = {}
    for name, tensor in metadata.state_dict_metadata.items():
        assert isinstance(tensor, TensorStorageMetadata), name
        described[name] = {
            "dtype": str(tensor.properties.dtype).removeprefix("torch."),
            "shape": list(tensor.size),
            "chunks": [
                {
                    "file": pieces[MetadataIndex(name, chunk.offsets)].file,
                    "offsets": list(chunk.offsets),
                    "sizes": list(chunk.sizes),
                }
                for chunk in tensor.chunks
                if chunk.sizes.numel() > 0
            ],
        }
    return described
