"""Settings: what they refuse, and the way to JSON and back."""

import dataclasses
import re

import pytest

from companion.training import TrainConfig
from tests.verification import same

WRONG = [
    (ValueError, "steps must be at least 1, got 0", {"steps": 0}),
    (TypeError, "steps must be a whole number, got 2.5", {"steps": 2.5}),
    (ValueError, "did you mean 'adamw'", {"optimizer": "adam"}),
    (ValueError, "lr must be at least 0, got -1", {"lr": -1}),
    (ValueError, "lr must be at least 0, got nan", {"lr": float("nan")}),
    (TypeError, "lr must be a number, got '0.1'", {"lr": "0.1"}),
    (ValueError, "muon_lr must be at least 0", {"muon_lr": -1.0}),
    (ValueError, "weight_decay must be at least 0", {"weight_decay": float("inf")}),
    (ValueError, "betas must be two numbers", {"betas": (0.9,)}),
    (ValueError, "betas must be from 0 to below 1", {"betas": (0.9, 1.0)}),
    (ValueError, "warmup must be below steps 10, got 10", {"warmup": 10}),
    (ValueError, "schedule must be one of", {"schedule": "step"}),
    (ValueError, "final_share must be from 0 to 1", {"final_share": 1.5}),
    (ValueError, "clip must be above 0, or None, got 0", {"clip": 0}),
    (ValueError, "clip must be above 0, or None, got nan", {"clip": float("nan")}),
    (ValueError, "accumulate must be at least 1", {"accumulate": 0}),
    (ValueError, "did you mean 'bfloat16'", {"precision": "bf16"}),
    (TypeError, "compile must be True or False", {"compile": "yes"}),
    (ValueError, "evaluate_every must be at least 1", {"evaluate_every": 0}),
    (ValueError, "patience must be at least 1", {"patience": 0}),
    (TypeError, "folder must be a str", {"folder": 3}),
    (ValueError, "checkpoint_every must be at least 1", {"checkpoint_every": 0}),
    (ValueError, "keep must be at least 1", {"keep": 0}),
    (ValueError, "seed must be at most 4294967295", {"seed": 2**32}),
    (TypeError, "device must be a str", {"device": 0}),
    (ValueError, "did you mean 'fsdp'", {"parallel": "fsdp2"}),
]


@pytest.mark.parametrize(("kind", "message", "changes"), WRONG)
def test_a_wrong_field_is_named(kind, message, changes):
    with pytest.raises(kind, match=re.escape(message)):
        TrainConfig(**{"steps": 10, **changes})


def test_every_field_that_can_be_wrong_is_tried():
    tried = {name for _, _, changes in WRONG for name in changes}
    assert tried == {field.name for field in dataclasses.fields(TrainConfig)}


def test_to_json_and_back(tmp_path):
    config = TrainConfig(steps=7, betas=[0.8, 0.9], folder=tmp_path, clip=None, compile="auto")
    same("TrainConfig.from_json", "itself", TrainConfig.from_json(config.to_json()), config)
    assert (config.betas, config.folder) == ((0.8, 0.9), str(tmp_path))
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.steps = 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "text must be JSON"),
        ("[]", "text must be a JSON object, got list"),
        ("{}", "must have the field 'steps'"),
        ('{"steps": 3, "warm_up": 2}', "a field 'warm_up' that is no setting; did you mean 'warm"),
        ('{"steps": 0}', "steps must be at least 1"),
    ],
)
def test_what_is_no_config(text, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig.from_json(text)
