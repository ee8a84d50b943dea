"""Make cnnlib/resources/digits.npz from scikit-learn's copy of the Optdigits test partition.

Run by hand, once; scikit-learn is needed for this script only:

    python scripts/make_digits.py
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TARGET = Path(__file__).parent.parent / "cnnlib" / "resources" / "digits.npz"


def main() -> None:
    digits = load_digits()
    images = digits.images.astype(np.uint8)
    if not np.array_equal(images, digits.images):
        raise ValueError("expected whole numbers from 0 to 255")
    np.savez_compressed(TARGET, images=images, labels=digits.target.astype(np.uint8))
    print(f"{TARGET.name}: {len(images)} images, {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
