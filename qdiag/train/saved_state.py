"""A training on disk after each epoch, from which a run that was stopped goes on."""

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from qdiag.core.causes.training import EpochRecord
from qdiag.errors import ConfigError
from qdiag.files.atomic import remove_file, whole_file

_EPOCHS = TypeAdapter(tuple[EpochRecord, ...])


@dataclass(frozen=True)
class SavedState:
    """A training as it stands after some epochs.

    Attributes:
        tensors: everything that training changes, by place; best: the same of the best epoch so far.
        optimizer: its `state_dict`.
        epochs: what was measured.
    """

    tensors: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizer: dict[str, Any]
    epochs: tuple[EpochRecord, ...]


@dataclass(frozen=True)
class StateFile:
    """Where the state of one training lies; written whole or not at all.

    Attributes:
        key: of the network, its plan, the data and the settings: a state of another training is refused.
    """

    path: Path
    key: str

    def read(self) -> SavedState | None:
        """The state of an earlier run; None where there is none.

        Raises:
            ConfigError: the file is damaged, or of another training.
        """
        if not self.path.exists():
            return None
        hint = "delete it to begin anew, or choose another place"
        try:
            found = torch.load(self.path, map_location="cpu", weights_only=True)
            key, epochs = found["key"], _EPOCHS.validate_python(json.loads(found["epochs"]))
            state = SavedState(found["tensors"], found["best"], found["optimizer"], epochs)
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
            raise ConfigError("this is no state of a training", at=str(self.path), hint=hint) from error
        if key != self.key:
            raise ConfigError(
                "the state is that of another training: network, data, scheme or settings differ",
                at=str(self.path),
                hint=hint,
            )
        return state

    def write(self, state: SavedState) -> None:
        """Replaces the state that was there.

        Raises:
            WriteError: it cannot be written.
        """
        content = {
            "key": self.key,
            "tensors": state.tensors,
            "best": state.best,
            "optimizer": state.optimizer,
            "epochs": json.dumps(_EPOCHS.dump_python(state.epochs)),
        }
        with whole_file(self.path, over_input=True) as part:
            torch.save(content, part)

    def remove(self) -> None:
        """The training is over, and its result is written."""
        remove_file(self.path, over_input=True)
