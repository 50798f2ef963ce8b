"""A small network that says whether there is air in an image, and hands on what it saw as features."""

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional
from unet import block, move
from xray import find_images, read_pixels

from kagkit.training import Plan, fit, save_weights


def prepare(task, rows):
    """Decode every image once; all folds and seeds read this file."""
    files = find_images(task.data["main"].files)
    images = {image: torch.from_numpy(read_pixels(files[image])) for image in rows.index}
    save_file(images, task.out / "images.safetensors")


class Augmented:
    """Images with their labels, moved and made noisy."""

    def __init__(self, rows, images):
        self.keys, self.labels, self.images = rows.index, rows["has_mask"], images

    def read(self, key):
        """An image, and whether there is air in it."""
        (image,) = move(self.images[key][None])
        light = image * torch.empty(()).uniform_(0.9, 1.1) + 0.03 * torch.randn(image.shape)
        return light[None], float(self.labels[key])


class Classifier(nn.Module):
    """From light (n, 1, height, width) to features (n, 4 * width) and logits (n,)."""

    def __init__(self, width):
        super().__init__()
        self.layers = nn.ModuleList([block(1, width), block(width, 2 * width), block(2 * width, 4 * width)])
        self.whole = nn.Linear(4 * width, 1)

    def forward(self, light):
        """What is the most of each kind anywhere in the image, and the logit of air."""
        for layer in self.layers:
            light = functional.max_pool2d(layer(light), 2)
        features = light.amax(dim=(2, 3))
        return features, self.whole(features).squeeze(1)


def loss(model, batch):
    light, present = batch
    return functional.binary_cross_entropy_with_logits(model(light)[1], present.float())


def train(task, *, width=4, epochs=20, batch=16, lr=6e-3):
    images = load_file(task.prepared[task.part] / "images.safetensors")
    model = Classifier(width)
    plan = Plan(epochs=epochs, batch_size=batch, lr=lr, warmup=0.1, ema=0.97, recompute_batchnorm=True)
    fit(task, model, Augmented(task.train_rows, images), loss, plan)
    save_weights(model, task.out / "model.safetensors")


def load(task, *, width=4):
    model = Classifier(width)
    model.load_state_dict(load_file(task.weights / "model.safetensors"))
    return model.eval()


def predict(task, model, rows, *, batch=64):
    images = load_file(task.prepared[task.part] / "images.safetensors")
    for start in range(0, len(rows), batch):
        keys = rows.index[start : start + batch]
        light = torch.stack([images[key] for key in keys])[:, None]
        with torch.inference_mode():
            (features, logits), (again, mirrored) = model(light), model(light.flip(3))
        chances = (logits.sigmoid() + mirrored.sigmoid()) / 2
        yield keys, {"has_mask": chances.numpy(), "features": ((features + again) / 2).numpy()}
