"""The loss of a variational autoencoder and its gradients, and normal distributions, by `torch.distributions`."""

import math

import torch
from torch import nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from goldens_io import Goldens, generator


def network(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 5), nn.Tanh(), nn.Linear(5, outputs)).double()


def vae(goldens, case, likelihood, standard_deviation=None, beta=1.0):
    random = generator(case)
    draw = lambda *shape: torch.from_numpy(random.normal(size=shape))
    encoder, decoder = network(6, 4), network(2, 6)
    parameters = {f"encoder.{name}": value for name, value in encoder.named_parameters()}
    parameters |= {f"decoder.{name}": value for name, value in decoder.named_parameters()}
    if likelihood == "learned_gaussian":
        parameters["log_deviation"] = nn.Parameter(torch.tensor([math.log(standard_deviation)], dtype=torch.float64))
    with torch.no_grad():
        for name, value in parameters.items():
            if name != "log_deviation":
                value.copy_(0.6 * draw(*value.shape))
    input, noise = torch.from_numpy(random.uniform(size=(3, 6))), draw(3, 2)

    mean, log_variance = encoder(input).chunk(2, dim=1)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    output = decoder(posterior.mean + posterior.stddev * noise)
    if likelihood == "bernoulli":
        # Greys are no outcomes of it; its density is defined for them all the same.
        observation = Bernoulli(logits=output, validate_args=False)
    elif likelihood == "gaussian":
        observation = Normal(output, torch.full_like(output, standard_deviation))
    else:
        observation = Normal(output, parameters["log_deviation"].exp().expand_as(output))
    reconstruction = -observation.log_prob(input).sum(1).mean()
    kl = kl_divergence(posterior, Normal(torch.zeros_like(mean), torch.ones_like(mean))).sum(1).mean()
    loss = reconstruction + beta * kl
    loss.backward()

    goldens.describe(case, kind="vae", likelihood=likelihood, standard_deviation=standard_deviation, beta=beta)
    goldens.put(f"{case}/input/0", input)
    goldens.put(f"{case}/noise/0", noise)
    for name, value in (("reconstruction", reconstruction), ("kl", kl), ("loss", loss)):
        goldens.put(f"{case}/output/{name}", value)
    for name, value in parameters.items():
        goldens.put(f"{case}/parameter/{name}", value)
        goldens.put(f"{case}/gradient/{name}", value.grad)


def gaussian(goldens, case):
    random = generator(case)
    draw = lambda: torch.from_numpy(1.5 * random.normal(size=(4, 3)))
    mean, log_variance, code = draw(), draw(), draw()
    posterior = Normal(mean, (0.5 * log_variance).exp())
    goldens.describe(case, kind="gaussian")
    goldens.put(f"{case}/mean", mean)
    goldens.put(f"{case}/log_variance", log_variance)
    goldens.put(f"{case}/code", code)
    goldens.put(f"{case}/kl", kl_divergence(posterior, Normal(torch.zeros_like(mean), torch.ones_like(mean))))
    goldens.put(f"{case}/log_density", posterior.log_prob(code).sum(1))


def make():
    goldens = Goldens()
    vae(goldens, "vae_bernoulli", "bernoulli")
    vae(goldens, "vae_gaussian", "gaussian", standard_deviation=0.4)
    vae(goldens, "vae_learned_gaussian", "learned_gaussian", standard_deviation=0.7)
    vae(goldens, "vae_beta", "bernoulli", beta=4.0)
    gaussian(goldens, "gaussian")
    return goldens
