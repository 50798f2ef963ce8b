"""A small convolutional network: it knows what the trees do not, which pixels are neighbours."""

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import nn


def images(rows):
    pixels = rows.filter(like="pixel").to_numpy("float32") / 16
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


def train(task, *, width=32, epochs=12, batch=64, lr=3e-3):
    inputs, labels = images(task.train_rows), torch.tensor(task.train_rows["Label"].to_numpy())
    model = network(width)  # kagkit has seeded torch, so these weights depend on task.seed alone
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    steps = -(-len(inputs) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, epochs=epochs, steps_per_epoch=steps)
    # The order has a generator of its own: a further dropout layer does not reshuffle the images.
    shuffling = torch.Generator().manual_seed(task.seed)
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for chosen in torch.randperm(len(inputs), generator=shuffling).split(batch):
            loss = nn.functional.cross_entropy(model(inputs[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        task.log(step=epoch, train_loss=total / len(inputs), valid_accuracy=accuracy(model, task.valid_rows))
        task.progress(epoch + 1, epochs)
    save_file(model.state_dict(), task.out / "model.safetensors")


def accuracy(model, rows):
    guesses = probabilities(model, rows).argmax(axis=1)
    return (guesses == rows["Label"]).mean()


def probabilities(model, rows):
    model.eval()
    with torch.inference_mode():
        return model(images(rows)).softmax(dim=1).numpy()


def load(task, *, width=32):
    model = network(width)
    model.load_state_dict(load_file(task.weights / "model.safetensors"))
    return model


def predict(task, model, rows):
    # A column per class, named by the class: kagkit submits the most probable one.
    return pd.DataFrame(probabilities(model, rows), index=rows.index, columns=range(10))
