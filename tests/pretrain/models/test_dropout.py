"""What a model drops follows from the sample and the place: every place, and every application, draws its own."""

import pytest
import torch
from torch import Tensor

from taixue.base.section import Section
from taixue.kernels.dropout.places import Dropout, Streams
from taixue.pretrain.models import FAMILIES, build_model
from taixue.pretrain.models.family import Small

MODELS = [
    FAMILIES[name].small(FAMILIES[name].config(dropout=0.5), Small(2, 4, 16))
    for name in ("t5", "bert", "albert")
]


def outcome(model: Section, samples: list[int], step: int, seed: int = 3) -> Tensor:
    """Losses of the rows 0, 1, ... of one batch, numbered `samples`, each row on its own."""
    torch.manual_seed(0)
    module = build_model(model).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    streams = Streams(module)
    streams.open(torch.device("cpu"))
    streams.seed(seed, step)
    batch = FAMILIES.of(model).probe(model, len(samples), 0, (16, 10))
    rows = [
        module(**{key: x[i : i + 1] for key, x in batch.items()}, samples=torch.tensor([number])).sum()
        for i, number in enumerate(samples)
    ]
    together = module(**batch, samples=torch.tensor(samples)).sum()
    assert torch.isclose(torch.stack(rows).sum(), together, rtol=1e-12)
    return torch.stack(rows).detach()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.family)
def test_a_row_drops_by_its_number(model: Section) -> None:
    first = outcome(model, [0, 1, 2], step=5)
    assert torch.equal(first, outcome(model, [0, 1, 2], step=5))
    assert (first != outcome(model, [7, 8, 9], step=5)).all()
    assert (first != outcome(model, [0, 1, 2], step=6)).all()
    assert (first != outcome(model, [0, 1, 2], step=5, seed=4)).all()
    assert torch.equal(first[1:], outcome(model, [9, 1, 2], step=5)[1:])


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.family)
def test_no_two_places_draw_the_same(model: Section) -> None:
    module = build_model(model)
    Streams(module).open(torch.device("cpu"))
    sites = [place.stream[2].item() for place in module.modules() if isinstance(place, Dropout) and place.p]
    assert len(sites) == len(set(sites)) >= 4


def test_a_shared_layer_draws_anew_each_time() -> None:
    model = MODELS[2]
    module = build_model(model)
    seen: list[Tensor] = []
    module.layers["0"].register_forward_pre_hook(lambda _, args: seen.append(args[2]))
    samples = torch.arange(3)
    module(**FAMILIES.of(model).probe(model, 3, 0, (16, 10)), samples=samples)
    assert len(seen) == model.num_layers
    numbers = torch.cat(seen)
    assert len(numbers.unique()) == len(numbers)
    assert torch.equal(seen[0], samples)
