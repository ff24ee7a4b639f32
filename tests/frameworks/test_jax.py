"""JAX: pytrees by path, Flax's linen and NNX, and trees to restore onto."""

from __future__ import annotations

import io

import numpy as np
import pytest

import dcz
from dcz.errors import DczError, LimitError, UnsupportedError
from support.frameworks import framework, integration, run_program

jax = framework("jax")
jnp = jax.numpy
dcz_jax = integration("jax")
X = np.linspace(-1, 1, 18, dtype=np.float32).reshape(3, 6)


def saved(model: object) -> bytes:
    file = io.BytesIO()
    dcz_jax.save_model(model, file)
    return file.getvalue()


def test_names_are_paths() -> None:
    tree = {
        "params": {"layers": [{"kernel": jnp.ones(2)}, (jnp.zeros(1), jnp.ones(1))], "none": None},
        "step": np.int32(3),
    }
    assert sorted(dcz_jax.load(dcz_jax.save(tree))) == [
        "params.layers.0.kernel",
        "params.layers.1.0",
        "params.layers.1.1",
        "step",
    ]
    nested = dcz_jax.load(dcz_jax.save({"a": {"b": jnp.ones(2), "c": jnp.ones(3)}}), nested=True)
    assert set(nested["a"]) == {"b", "c"}


def test_collisions_are_refused() -> None:
    with pytest.raises(DczError, match="two paths are called 'a.b'"):
        dcz_jax.save({"a.b": jnp.ones(1), "a": {"b": jnp.ones(1)}})
    for names in (["a", "a.b"], ["a.b", "a.b.c"], ["a.b.c", "a.b"]):
        with pytest.raises(DczError, match="nested=False"):
            dcz_jax.load(dcz.save(dict.fromkeys(names, X)), nested=True)


@pytest.mark.parametrize("leaf", [[], [jnp.ones(2)]], ids=["no leaf", "leaves"])
def test_trees_that_share_their_lists_are_counted_each_time(leaf: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcz.jax.paths._MAX_NODES", 10_000)  # two million take seconds
    shared = leaf
    for _ in range(60):
        shared = [shared, shared]
    data = dcz.save({"w": X})
    for save in (dcz_jax.save, saved, lambda tree: dcz_jax.load_model(tree, data)):
        with pytest.raises(LimitError, match="more than 10000 containers and leaves"):
            save({"w": shared})
    with pytest.raises(LimitError, match="more than 10000 containers and leaves"):
        dcz_jax.save_delta({"w": shared}, io.BytesIO(), base={"w": jnp.ones(2)})
    with pytest.raises(LimitError, match="more than 10000 containers and leaves"):
        dcz_jax.apply_delta({"w": shared}, data)


def test_trees_that_hold_themselves_are_refused() -> None:
    tree: list = [jnp.ones(2)]
    tree.append(tree)
    deep: list = [jnp.ones(2)]
    for _ in range(100_000):
        deep = [deep]
    for _ in range(20):  # JAX leaves less recursion depth each time that its own walk is ended by an exception
        with pytest.raises(LimitError, match="deeper than 256, or one holds itself"):
            dcz_jax.save(tree)
        with pytest.raises(LimitError, match="deeper than 256"):
            dcz_jax.save(deep)


def test_linen_variables_onto_an_abstract_tree() -> None:
    linen = pytest.importorskip("flax.linen", reason="flax is not installed")

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x: object) -> object:
            return linen.Dense(4)(linen.relu(linen.BatchNorm(use_running_average=True)(linen.Dense(5)(x))))

    variables = Net().init(jax.random.key(0), X)
    abstract = jax.eval_shape(lambda: Net().init(jax.random.key(1), X))
    restored = dcz_jax.load_model(abstract, saved(variables))
    assert jax.tree_util.tree_structure(restored) == jax.tree_util.tree_structure(variables)
    assert (Net().apply(restored, X) == Net().apply(variables, X)).all()
    assert "batch_stats.BatchNorm_0.mean" in dcz.open(saved(variables))


def test_nnx_modules_are_restored_in_place() -> None:
    nnx = pytest.importorskip("flax.nnx", reason="flax is not installed")

    class Net(nnx.Module):
        def __init__(self, seed: int) -> None:
            rngs = nnx.Rngs(seed)
            self.first = nnx.Linear(6, 6, rngs=rngs)
            self.second = self.first  # tied
            self.norm = nnx.BatchNorm(6, rngs=rngs)
            self.drop = nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x: object) -> object:
            return self.drop(self.norm(self.second(self.first(x))))

    model, other = Net(1), Net(2)
    model(X)  # moves the running mean
    data = saved(model)
    assert sorted(dcz.open(data)) == [
        "first.bias", "first.kernel", "norm.bias", "norm.mean", "norm.scale", "norm.var"
    ]  # fmt: skip
    key = jax.random.key_data(other.drop.rngs.key[...]).tolist()
    assert dcz_jax.load_model(other, data) is other
    model.eval()
    other.eval()
    assert (model(X) == other(X)).all()
    assert jax.random.key_data(other.drop.rngs.key[...]).tolist() == key
    assert other.second is other.first


def test_training_state_with_an_optimizer() -> None:
    optax = pytest.importorskip("optax", reason="optax is not installed")
    params = {"w": jnp.asarray(X), "b": jnp.zeros(6, jnp.bfloat16)}
    state = {"params": params, "opt": optax.adam(1e-3).init(params)}
    restored = dcz_jax.load_model(jax.eval_shape(lambda: state), saved(state))
    assert jax.tree_util.tree_structure(restored) == jax.tree_util.tree_structure(state)
    same = jax.tree_util.tree_map(
        lambda a, b: a.dtype == b.dtype and np.asarray(a).tobytes() == np.asarray(b).tobytes(), restored, state
    )
    assert jax.tree_util.tree_all(same)


def test_mismatches_name_everything_and_change_nothing() -> None:
    data = dcz.save({"w": X, "extra": X})
    tree = {"w": jnp.zeros((3, 6)), "b": jnp.ones(2)}
    with pytest.raises(DczError, match="missing in the file: 'b'; unexpected in the file: 'extra'"):
        dcz_jax.load_model(tree, data)
    restored = dcz_jax.load_model(tree, data, strict=False)
    assert (restored["w"] == X).all() and restored["b"] is tree["b"] and not tree["w"].any()
    for wrong in (jnp.zeros((6, 3)), jnp.zeros((3, 6), jnp.bfloat16)):
        with pytest.raises(DczError, match=r"'w' is float32 \(3, 6\), the model has"):
            dcz_jax.load_model({"w": wrong}, data, strict=False)


def test_64_bits_are_never_narrowed() -> None:
    data = dcz.save({"w": np.float64([1 / 3])})
    with pytest.raises(UnsupportedError, match="jax_enable_x64"):
        dcz_jax.load(data)
    program = (
        "import jax, numpy, dcz.jax; jax.config.update('jax_enable_x64', True); "
        "print(dcz.jax.load(dcz.save({'w': numpy.float64([1 / 3])}))['w'].dtype)"
    )
    assert run_program(program) == "float64\n"


def test_random_keys_and_traced_arrays_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="key_data"):
        dcz_jax.save({"key": jax.random.key(0)})
    with pytest.raises(DczError, match="traced"):
        jax.jit(lambda x: dcz_jax.save({"x": x}))(jnp.ones(2))


def test_large_arrays_are_not_copied_on_the_cpu() -> None:
    """JAX uses memory in place where it begins on a line of its own, which large tensors do."""
    data = dcz.save({"w": np.ones((1500, 1024), np.float32)})
    seen = []
    convert = dcz_jax.load.__globals__["from_array"]

    def spy(array: np.ndarray, *rest: object) -> object:
        seen.append(array.__array_interface__["data"][0])
        return convert(array, *rest)

    dcz_jax.load.__globals__["from_array"] = spy
    try:
        assert dcz_jax.load(data)["w"].unsafe_buffer_pointer() == seen[0]
    finally:
        dcz_jax.load.__globals__["from_array"] = convert


def test_device_and_sharding() -> None:
    device = jax.devices()[0]
    sharding = jax.sharding.SingleDeviceSharding(device)
    assert dcz_jax.load(dcz.save({"w": X}), device)["w"].devices() == {device}
    assert dcz_jax.load(dcz.save({"w": X}), sharding)["w"].sharding == sharding
    tree = {"w": jax.ShapeDtypeStruct(X.shape, X.dtype, sharding=sharding)}
    assert dcz_jax.load_model(tree, dcz.save({"w": X}))["w"].sharding == sharding


def test_a_fresh_train_state_comes_back() -> None:
    """Its step is a Python number before the first update, and an array after it."""
    flax_state = pytest.importorskip("flax.training.train_state", reason="flax is not installed")
    optax = pytest.importorskip("optax", reason="optax is not installed")

    def fresh(value: float) -> object:
        params = {"kernel": jnp.full((3, 2), value)}
        return flax_state.TrainState.create(apply_fn=None, params=params, tx=optax.adam(0.1))

    file = io.BytesIO()
    dcz_jax.save_model(fresh(2.0), file)
    restored = dcz_jax.load_model(fresh(0.0), file.getvalue())
    assert restored.step == 0 and type(restored.step) is int and float(restored.params["kernel"][0, 0]) == 2
    trained = restored.apply_gradients(grads={"kernel": jnp.ones((3, 2))})
    trained = trained.replace(step=jnp.asarray(trained.step))
    file = io.BytesIO()
    dcz_jax.save_model(trained, file)
    again = dcz_jax.load_model(fresh(0.0), file.getvalue())
    assert again.step == 1 and type(again.step) is int
    assert (again.opt_state[0].mu["kernel"] == trained.opt_state[0].mu["kernel"]).all()


def test_numbers_are_kept_exactly() -> None:
    tree = {"int": 3, "large": 1 << 40, "float": 0.1, "half": 0.5, "flag": True, "array": jnp.ones(2)}
    file = io.BytesIO()
    dcz_jax.save_model(tree, file)
    stored = {name: str(array.dtype) for name, array in dcz.load(file.getvalue()).items()}
    assert stored == {"int": "int32", "large": "int64", "float": "float64", "half": "float32", "flag": "bool",
                      "array": "float32"}  # fmt: skip
    found = dcz_jax.load_model(
        {**tree, "int": 0, "large": 0, "float": 0.0, "half": 0.0, "flag": False}, file.getvalue()
    )
    assert {name: found[name] for name in ("int", "large", "float", "half", "flag")} == {
        name: tree[name] for name in ("int", "large", "float", "half", "flag")
    }
    with pytest.raises(DczError, match="'int' is int32"):
        dcz_jax.load_model({**tree, "int": 0.5}, file.getvalue())


def test_arrays_that_have_no_values_any_more() -> None:
    gone = jnp.ones(3)
    gone.delete()
    with pytest.raises(UnsupportedError, match="tensor 'w': has been deleted or donated"):
        dcz_jax.save({"w": gone})
    with pytest.raises(UnsupportedError, match="tensor 'w': .*has a shape and no values"):
        dcz_jax.save({"w": jax.ShapeDtypeStruct((3,), "float32")})
