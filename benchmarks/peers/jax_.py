"""JAX on the CPU, compiled: whole epochs and whole rounds are one program."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import work
from jax.sharding import NamedSharding, PartitionSpec

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_num_cpu_devices", 2)  # for who shards


def logistic(w, X, y):
    r = jax.nn.sigmoid(X @ w) - y
    return w - work.ETA * (r @ X / len(y) + work.L2 * w)


def gd(case):
    X, y = map(jnp.asarray, work.data(case))
    w, step = jnp.asarray(work.start(case)), jax.jit(logistic)
    while True:
        w = step(w, X, y).block_until_ready()
        yield w


def sgd(case):
    X, y = map(jnp.asarray, work.data(case))
    w, key, B = jnp.asarray(work.start(case)), jax.random.key(0), case.batch

    @jax.jit
    def epoch(w, key):
        order = jax.random.permutation(key, case.n)[: case.n // B * B].reshape(-1, B)
        return jax.lax.scan(lambda w, i: (logistic(w, X[i], y[i]), None), w, order)[0]

    while True:
        key, now = jax.random.split(key)
        w = epoch(w, now).block_until_ready()
        yield w


def loss(params, X, y):
    H = X
    for W, b in params[:-1]:
        H = jax.nn.relu(H @ W + b)
    W, b = params[-1]
    Z = H @ W + b
    return (jax.nn.logsumexp(Z, axis=1) - jnp.take_along_axis(Z, y[:, None], 1)[:, 0]).mean()


@partial(jax.jit, static_argnames="B")
def local(params, X, y, key, B):
    """Return a client's parameters after one epoch."""
    order = jax.random.permutation(key, len(X))[: len(X) // B * B].reshape(-1, B)

    def step(params, i):
        g = jax.grad(loss)(params, X[i], y[i])
        return jax.tree.map(lambda w, g: w - jnp.float32(work.ETA) * g, params, g), None

    return jax.lax.scan(step, params, order)[0]


def fedavg(case, how="loop"):
    yield from {"loop": loop, "sharded": sharded}[how](case)


def loop(case):
    X, y = work.data(case)
    y, edges, rng = y.astype(np.int32), work.offsets(case), np.random.default_rng(0)
    params = [
        (jnp.asarray(W), jnp.asarray(b)) for W, b in work.layers(work.start(case), case.sizes)
    ]
    key, B = jax.random.key(0), min(case.batch, case.n // case.K)
    while True:
        mean = None
        for k in rng.choice(case.K, case.cohort, replace=False):
            key, now = jax.random.split(key)
            i, j = edges[k], edges[k + 1]
            new = local(params, X[i:j], y[i:j], now, B)
            mean = new if mean is None else jax.tree.map(jnp.add, mean, new)
        params = jax.tree.map(lambda a: a / np.float32(case.cohort), mean)
        jax.block_until_ready(params)
        yield np.concatenate([np.ravel(a) for a in jax.tree.leaves(params)])


def sharded(case):
    """A round is one program on two devices: each trains half of the cohort, then they add up.

    A device takes its clients one after the other for the network, all together for softmax
    regression: the faster way in each case.
    """
    mesh = jax.make_mesh((2,), ("clients",))
    whole, parts = (NamedSharding(mesh, PartitionSpec(*x)) for x in ((), ("clients",)))
    (X, y), rng, B = work.data(case), np.random.default_rng(0), min(case.batch, case.n // case.K)
    X, y = X.reshape(case.K, -1, case.p), y.astype(np.int32).reshape(case.K, -1)
    params = [
        (jnp.asarray(W), jnp.asarray(b)) for W, b in work.layers(work.start(case), case.sizes)
    ]
    params, root = jax.device_put(params, whole), jax.random.key(0)

    def train(params, X, y, keys):
        one = partial(local, B=B)
        if case.hidden:

            def add(total, client):
                return jax.tree.map(jnp.add, total, one(params, *client)), None

            total = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, params), (X, y, keys))[0]
        else:
            new = jax.vmap(one, (None, 0, 0, 0))(params, X, y, keys)
            total = jax.tree.map(lambda a: a.sum(0), new)
        total = jax.lax.psum(total, "clients")
        return jax.tree.map(lambda a: a / np.float32(case.cohort), total)

    specs = (PartitionSpec(), *[PartitionSpec("clients")] * 3)
    train = jax.jit(jax.shard_map(
        train, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), check_vma=False
    ))  # fmt: skip
    while True:
        S = rng.choice(case.K, case.cohort, replace=False)
        root, now = jax.random.split(root)
        clients = jax.device_put((X[S], y[S], jax.random.split(now, case.cohort)), parts)
        params = jax.block_until_ready(train(params, *clients))
        yield np.concatenate([np.ravel(a) for a in jax.tree.leaves(params)])
