"""A small convolutional network: unlike the trees it knows which pixels are neighbours."""

import pandas as pd
import torch
from safetensors.torch import load_file
from torch import nn

from kagkit.training import Plan, Table, fit, save_weights


def images(rows):
    pixels = rows.filter(like="pixel").to_numpy("float32") / 16  # 0 is paper, 1 is ink
    return torch.from_numpy(pixels).reshape(-1, 1, 8, 8)


def block(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


def network(width):
    return nn.Sequential(
        block(1, width),
        block(width, width),
        nn.MaxPool2d(2),
        block(width, 2 * width),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(8 * width, 10),
    )


def loss(model, batch):
    inputs, labels = batch
    return nn.functional.cross_entropy(model(inputs), labels)


def probabilities(model, rows):
    model.eval()
    with torch.inference_mode():
        return model(images(rows)).softmax(dim=1).numpy()


def train(task, *, width=32, epochs=12, batch=64, lr=3e-3):
    rows, held_out = task.train_rows, task.valid_rows

    def validate(model):
        guesses = probabilities(model, held_out).argmax(axis=1)
        return {"valid_accuracy": (guesses == held_out["Label"]).mean()} if len(held_out) else {}

    model = network(width)  # its first weights depend on task.seed alone: kagkit has seeded torch
    data = Table(rows.index, images(rows), torch.tensor(rows["Label"].to_numpy()))
    fit(task, model, data, loss, Plan(epochs=epochs, batch_size=batch, lr=lr, validate=validate))
    save_weights(model, task.out / "model.safetensors")


def load(task, *, width=32):
    model = network(width)
    model.load_state_dict(load_file(task.weights / "model.safetensors"))
    return model


def predict(task, model, rows):
    # One column per class, named by it: kagkit averages them over the folds and submits the largest.
    return pd.DataFrame(probabilities(model, rows), index=rows.index, columns=range(10))
