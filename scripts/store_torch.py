"""Store the losses of PyTorch that chapter 22 shows where PyTorch is not installed. Run it where it is."""

import json
from pathlib import Path

import torch

from cnnbook.behind_the_scenes import losses_of_torch

losses, _ = losses_of_torch(steps=50)
target = Path(__file__).parents[1] / "book" / "cnnbook" / "results" / "torch.json"
target.write_text(json.dumps({"version": torch.__version__.split("+")[0], "losses": losses}, indent=1) + "\n")
print(f"50 losses, {losses[0]:.4f} to {losses[-1]:.4f}, in {target.name}")
