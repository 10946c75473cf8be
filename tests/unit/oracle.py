"""Answers of JAX and Optax, for the tests to compare with.

It is run as a program of its own, ``python oracle.py NAME IN.npz OUT.npz``, because JAX keeps
threads alive and so spoils the process of the tests for everything that forks.
"""

import sys
from itertools import pairwise

import numpy as np

ALREADY_WARM = 10**6  # a step count at which the bias correction is 1 to the last bit


def optimizer_paths(a, b, noise, w0):
    """Run Optax on g = a (w - b) + noise: every w on the way, (steps, d), by name."""
    import jax
    import jax.numpy as jnp
    import optax

    def path(rule, **start):
        state = rule.init(w0)
        first = state[0]._replace(**start) if start else state[0]

        def step(carry, noise_t):
            w, state = carry
            update, state = rule.update(a * (w - b) + noise_t, state, w)
            return (w + update, state), w + update

        return jax.lax.scan(step, (jnp.asarray(w0), (first, *state[1:])), noise)[1]

    def scaled(rule, eta=0.05):
        return optax.chain(rule, optax.scale(-eta))

    cosine = optax.cosine_decay_schedule(0.1, 150)
    uncorrected = {"count": jnp.asarray(ALREADY_WARM)}
    from_tau = {"nu": jnp.full_like(w0, 1e-6), **uncorrected}
    yogi = scaled(optax.scale_by_yogi(initial_accumulator_value=0.0))
    ams = {"bias_correction_mu": False, "bias_correction_nu": False}
    return {
        "sgd": path(optax.sgd(0.1)),
        "sgd-cosine": path(optax.sgd(cosine)),
        "momentum": path(optax.sgd(0.05, momentum=0.9)),
        "momentum-cosine": path(optax.sgd(cosine, momentum=0.8)),
        "nesterov": path(optax.sgd(0.05, momentum=0.9, nesterov=True)),
        "nesterov-cosine": path(optax.sgd(cosine, momentum=0.8, nesterov=True)),
        "adagrad": path(optax.adagrad(0.3, initial_accumulator_value=0.01, eps=0.0)),
        "rmsprop": path(optax.rmsprop(0.02, decay=0.8, eps=1e-2, eps_in_sqrt=False)),
        "adam": path(optax.adam(0.05, eps=1e-2)),
        "adam-cosine": path(optax.adam(cosine, b1=0.7, b2=0.95)),
        "adam-uncorrected": path(optax.adam(0.05), **uncorrected),
        "fedadam": path(optax.adam(0.05, b2=0.99, eps=1e-3), **from_tau),
        "amsgrad": path(scaled(optax.scale_by_amsgrad(b2=0.9, **ams))),
        "amsgrad-corrected": path(scaled(optax.scale_by_amsgrad(b2=0.9))),
        "adamw": path(optax.adamw(cosine, weight_decay=0.3)),
        "yogi": path(yogi, **uncorrected),
        "yogi-corrected": path(yogi),
        "fedyogi": path(
            scaled(optax.scale_by_yogi(b2=0.99, initial_accumulator_value=0.0)), **from_tau
        ),
    }


def schedules(t):
    """Return Optax's step sizes at each t, by name."""
    import optax

    return {
        "cosine": optax.cosine_decay_schedule(0.3, 150)(t),
        "step-decay": optax.exponential_decay(0.3, 40, 0.5, staircase=True)(t),
        "warmup": optax.linear_schedule(0.0, 0.3, 50)(t + 1),
    }


def losses_and_gradients(l2, **arrays):
    """Return loss, gradient and Hessian of every case MODEL/SIZE, made by JAX, by name."""
    import jax

    def linear(w, x, y, sizes):
        return (x @ w - y) ** 2 / 2

    def logistic(w, x, y, sizes):
        return jax.nn.softplus(x @ w) - y * (x @ w)

    def network(w, x, y, sizes):
        h = x
        for depth, (a, b) in enumerate(pairwise(sizes)):
            W, bias, w = w[: a * b].reshape(a, b), w[a * b : (a + 1) * b], w[(a + 1) * b :]
            h = (jax.nn.relu(h) if depth else h) @ W + bias
        return -jax.nn.log_softmax(h)[y.astype(int)]

    def case(key):
        name = key.split("/")[0]
        example = {"linear": linear, "logistic": logistic}.get(name, network)
        sizes = tuple(int(size) for size in arrays.get(f"{name}/sizes", ()))

        def loss(w, X, y, s):
            each = jax.vmap(lambda x_i, y_i: example(w, x_i, y_i, sizes))(X, y)
            return s @ each + l2 / 2 * w @ w

        w, X, y, s = (arrays[f"{key}/{part}"] for part in "wXys")
        equal = np.full_like(s, 1 / s.shape[-1])
        value_and_grad = jax.jit(jax.vmap(jax.value_and_grad(loss)))
        answers = dict(zip(("loss", "grad"), value_and_grad(w, X, y, s)))
        answers |= dict(zip(("mean-loss", "mean-grad"), value_and_grad(w, X, y, equal)))
        if not name.startswith("mlp"):
            hessian = jax.jit(jax.vmap(jax.hessian(loss)))
            answers |= {"hessian": hessian(w, X, y, equal)}
            answers |= {"hessian-at-0": hessian(0 * w, X, y, equal)}
        return {f"{key}/{part}": answer for part, answer in answers.items()}

    keys = [key.removesuffix("/w") for key in arrays if key.endswith("/w")]
    return {name: answer for key in keys for name, answer in case(key).items()}


if __name__ == "__main__":
    import jax

    jax.config.update("jax_enable_x64", True)
    name, source, target = sys.argv[1:]
    answers = globals()[name](**np.load(source))
    np.savez(target, **{key: np.asarray(value) for key, value in answers.items()})
