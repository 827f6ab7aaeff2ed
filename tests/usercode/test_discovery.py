"""User's functions behind a value of --impl."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from numba import config

from lcbench.losses import catalog
from lcbench.losses.implementation import CannotLoad
from lcbench.measure.schedule import Plan, Target, begin_schedule
from lcbench.measure.workload import Size
from lcbench.settings import RunSettings
from lcbench.usercode import entry_point_names, load_functions
from lcbench.usercode.discovery import code_hash
from lcbench.usercode.loading import describe_error

needs_the_jit = pytest.mark.skipif(config.DISABLE_JIT, reason="Numba's JIT is disabled")

ASSIGNMENTS = Path(__file__).parent / "assignments"


def loaded(path):
    return load_functions(str(ASSIGNMENTS / path))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_file_gives_every_loss_that_it_defines():
    functions = loaded("linear_svm.py")
    assert [(function.name, function.loss, function.problem) for function in functions] == [
        ("linear_svm.py:svm_loss_naive", "svm", None),
        ("linear_svm.py:svm_loss_vectorized", "svm", None),
    ]
    source = (ASSIGNMENTS / "linear_svm.py").read_text().splitlines()
    assert [source[function.line - 1].split("(")[0] for function in functions] == [
        "def svm_loss_naive",
        "def svm_loss_vectorized",
    ]


def test_the_hash_of_the_code_is_that_of_its_file(here):
    (here / "mine.py").write_text("def f(W, X, y, reg): ...\n")
    (here / "package").mkdir()
    (here / "package" / "inner.py").write_text("raise SystemExit  # is not run\n")
    expected = hashlib.sha256(b"def f(W, X, y, reg): ...\n").hexdigest()[:12]
    assert [code_hash(name) for name in ("mine.py", "mine.py:f", "mine:f", str(here / "mine.py"))] == [expected] * 4
    inner = code_hash("package.inner:f")
    assert len(inner) == 12
    (here / "package" / "inner.py").write_text("raise SystemExit  # is not run either\n")
    assert code_hash("package.inner:f") not in ("", inner)


def test_implementations_of_one_file_have_the_same_hash():
    of = {name: code_hash(name) for name in catalog.CATALOG}
    assert all(len(code) == 12 for code in of.values())
    assert of["torch"] == of["torch-compile-cuda"]
    assert len(set(of.values())) == len({entry.module.partition(":")[0] for entry in catalog.CATALOG.values()})


def test_rows_of_a_run_have_the_hash_of_their_code(here):
    (here / "mine.py").write_text("def f(W, X, y, reg): ...\n")
    cells = (("softmax", Size(20, 33, 3, "float32", "synthetic")),)
    plan = Plan((Target("numpy", "cpu", cells), Target("mine.py:f", "cpu", cells)), RunSettings(threads=1))
    codes = [each.code for each in begin_schedule(plan).rows]
    assert codes == [code_hash("numpy"), code_hash("mine.py")]


@pytest.mark.parametrize("name", ["gone.py", "gone.py:f", "gone:f", "gone", ":f", "", "\0.py"])
def test_code_that_does_not_exist_has_no_hash(here, name):
    assert code_hash(name) == ""


def test_imported_functions_are_left_out():
    [function] = loaded("assignment1/cs231n/classifiers/softmax.py")
    assert function.name == "softmax.py:softmax_loss_vectorized"
    assert any("k_nearest_neighbor.py line 10: Python 2 syntax: tuple parameter" in note for note in function.notes)


def test_one_function_of_a_file_by_name():
    [function] = loaded("softmax.py:softmax_loss_naive")
    assert function.spec == f"{ASSIGNMENTS}/softmax.py:softmax_loss_naive"
    assert function.name == "softmax.py:softmax_loss_naive"


def test_function_given_by_name_may_have_any_parameter_names(here):
    Path("a.py").write_text("def f(*all): pass\nclass A:\n    @staticmethod\n    def g(a, b, c, d): pass\n")
    assert load_functions("a.py:f")[0].loss is None
    assert load_functions("a.py:A.g")[0].function is not None


def test_spec_gives_the_same_function_again(here):
    Path("sub").mkdir()
    Path("sub/a.py").write_text("def my_loss(W, X, y, reg): pass\ndef xent(W, X, y, reg): pass\n")
    for function in load_functions("sub/a.py"):
        assert [again.spec for again in load_functions(function.spec)] == [function.spec]


CLASSES = """
import numpy as np
from lcbench.losses import vectorized

class Linear:
    def __init__(self, W=None):
        self.W = W

    def train(self, X, y, learning_rate=1e-3, reg=1e-5): pass

    def loss(self, X, y, reg): pass

class SVM(Linear):
    def loss(self, X, y, reg):
        return vectorized.svm_loss(self.W, X, y, reg)

class Softmax(Linear):
    def loss(self, W, X, y, reg):
        return vectorized.softmax_loss(W, X, y, reg)

class SoftmaxWithReg:
    def __init__(self):
        self.weights, self.lam = None, 0

    def scores(self, X):
        return X @ self.weights

    def loss(self, X, y):
        self.scores(X)
        return vectorized.softmax_loss(self.weights, X, y, self.lam)

class SVMOf:
    def __init__(self, W, reg=1):
        self.W, self.reg = W, reg

    def loss(self, X, y):
        return vectorized.svm_loss(self.W, X, y, self.reg)

class SVMOfMany:
    def __init__(self, features, classes):
        self.W = np.zeros((features, classes))

    def loss(self, X, y, reg):
        return vectorized.svm_loss(self.W, X, y, reg)

class SVMThatFails:
    def __init__(self):
        self.W = np.load("gone.npy")

    def loss(self, X, y, reg):
        return vectorized.svm_loss(self.W, X, y, reg)

class Static:
    @staticmethod
    def hinge(X, y, W, reg):
        return vectorized.svm_loss(W, X, y, reg)
"""


def test_methods_are_bound_by_the_names_of_parameters_and_attributes(here):
    Path("a.py").write_text(CLASSES)
    functions = load_functions("a.py")
    assert [(function.name, function.problem) for function in functions] == [
        ("a.py:SVM.loss", None),
        ("a.py:Softmax.loss", None),
        ("a.py:SoftmaxWithReg.loss", None),
        ("a.py:SVMOf.loss", None),
        (
            "a.py:SVMOfMany.loss",
            "its class needs arguments: SVMOfMany(features, classes); add one line that adapts it: "
            "def my_svm_loss(W, X, y, reg): model = SVMOfMany(..., ...); model.W = W; return model.loss(X, y, reg)",
        ),
        (
            "a.py:SVMThatFails.loss",
            "SVMThatFails() cannot be constructed: line 48: FileNotFoundError: [Errno 2] No such file or directory: "
            "'gone.npy'; add one line that adapts it: "
            "def my_svm_loss(W, X, y, reg): model = SVMThatFails(); model.W = W; return model.loss(X, y, reg)",
        ),
        ("a.py:Static.hinge", None),
    ]
    W, X, y = np.ones((3, 2)), np.ones((4, 3)), np.array([0, 1, 0, 1])
    for function in functions:
        if not function.problem:
            right = np.log(2) if function.loss == "softmax" else 1
            assert function.function(W, X, y, 0.5)[0] == pytest.approx(right + 0.5 * 6), function.name
            [again] = load_functions(function.spec)
            assert again.binding == function.binding


def test_a_method_that_calls_a_function_of_the_file_is_left_out(here):
    Path("a.py").write_text(
        "def svm_loss(W, X, y, reg): pass\n"
        "class Linear:\n    def _loss(self, X, y, reg): return self.W\n"
        "class SVM(Linear):\n    def loss(self, X, y, reg): return svm_loss(self.W, X, y, reg)\n"
    )
    assert [function.name for function in load_functions("a.py")] == ["a.py:svm_loss"]
    assert load_functions("a.py:SVM.loss")[0].function is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class Net:\n    def forward(self, x): pass\n", r"the file defines class Net with forward\(x\); add one line"),
        (
            "def predict(x): pass\ndef softmax_cost(X, Y, W, b, lamda): pass\n",
            r"predict\(x\), softmax_cost\(X, Y, W, b, lamda\); add one line that adapts it: "
            r"def my_softmax_loss\(W, X, y, reg\): return softmax_cost\(X, y, W, \.\.\., reg\)$",
        ),
        (
            "class SVM:\n    def loss(self, X, y, reg, step): return self.W\n",
            r"class SVM with loss\(X, y, reg, step\); add one line that adapts it: "
            r"def my_svm_loss\(W, X, y, reg\): model = SVM\(\); model\.W = W; return model\.loss\(X, y, reg, \.\.\.\)$",
        ),
        ("from other import svm_loss\nx = 3\n", r"no function; it imports svm_loss from other\.py: name that file$"),
        ("def train_softmax(X_tr, y_tr, X_te, y_te): pass\n", r"train_softmax\(X_tr, y_tr, X_te, y_te\); add one line"),
        (
            "def cost(b, W, X, Y, lam=0.1): pass\ndef plot_loss(W): pass\n",
            r"def my_softmax_loss\(W, X, y, reg\): return cost\(\.\.\., W, X, y, lam=reg\)$",
        ),
        (
            "class Softmax:\n    def __init__(self, size, lam): pass\n    def cost(self, theta, X, y, a): pass\n",
            r": model = Softmax\(\.\.\., reg\); return model\.cost\(W, X, y, \.\.\.\)$",
        ),
        (
            "class SVM:\n    def loss(self, x, y, x_scores, y_predicted): pass\n",
            r"model = SVM\(\); return model\.loss\(X, y, \.\.\., \.\.\.\)$",
        ),
        ("def nn_loss(params, X, y, reg, size): pass\n", r"return nn_loss\(\.\.\., X, y, reg, \.\.\.\)$"),
        ("def svm(W, b, X, y): pass\n", r"svm\(W, b, X, y\); .*: return svm\(W, \.\.\., X, y\)$"),
    ],
)
def test_what_a_file_has_instead_is_listed_with_an_adapter(here, text, message):
    Path("a.py").write_text(text)
    Path("other.py").write_text("def svm_loss(W, X, y, reg): pass\n")
    with pytest.raises(CannotLoad, match=message) as caught:
        load_functions("a.py")
    assert "\n" not in str(caught.value)


def test_functions_of_a_notebook(here):
    cells = [
        "import numpy as np\n1 / 0\nx = trained.W",
        "def svm_loss(W, X, y, reg):\n    return np.zero(3)\n",
        "!ls\n",
    ]
    cells = [{"cell_type": "code", "source": cell} for cell in cells]
    Path("work.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}}))
    [function] = load_functions("work.ipynb")
    assert (function.spec, function.name, function.notes) == ("work.ipynb:svm_loss", "work.ipynb:svm_loss", ())
    assert load_functions("work.ipynb:svm_loss")[0].line == function.line
    assert code_hash("work.ipynb:svm_loss") == code_hash("work.ipynb") != ""
    with pytest.raises(AttributeError) as caught:
        function.function(1, 2, 3, 4)
    fault = describe_error(caught.value, function.function.__code__.co_filename)
    assert str(fault) == "code cell 2 line 2: AttributeError: NumPy has no zero; did you mean np.zeros?"


def test_lambdas_classes_and_aliases_are_left_out(here):
    Path("a.py").write_text(
        "def my_loss(W, X, y, reg): pass\n"
        "svm = my_loss\n"
        "svm_loss = lambda W, X, y, reg: 0\n"
        "class softmax_loss:\n    def __init__(self, W, X, y, reg): pass\n"
    )
    assert [function.name for function in load_functions("a.py")] == ["a.py:my_loss"]


def test_broken_functions_have_a_problem_and_keep_their_place(here):
    Path("a.py").write_text(
        "@jitted\n"
        "def svm_loss(W, X, y, reg): pass\n"
        "def softmax_loss(W, X, y, reg): pass\n"
        "def xent(W, X, y, reg):\n    return lambda (a, b): a\n"
        "def helper(x):\n    return x x\n"
    )
    functions = load_functions("a.py")
    assert [(function.name, function.problem) for function in functions] == [
        ("a.py:svm_loss", "line 1: NameError: name 'jitted' is not defined"),
        ("a.py:softmax_loss", None),
        ("a.py:xent", "line 5: Python 2 syntax: tuple parameter; unpack it inside the function"),
    ]
    assert functions[0].notes[-1] == "line 7: syntax error: invalid syntax, skipped (defines helper)"
    assert load_functions("a.py:xent")[0].problem == functions[2].problem


def test_last_definition_counts_even_if_it_is_broken(here):
    Path("a.py").write_text("def xent(W, X, y, reg): pass\ndef xent(W, X, y, reg):\n    W W\n")
    [function] = load_functions("a.py")
    assert function.problem == "line 3: syntax error: invalid syntax"
    assert load_functions("a.py:xent")[0].problem == function.problem


@needs_the_jit
def test_compiled_functions_are_found(here):
    Path("a.py").write_text(
        "from numba import njit\n"
        "@njit\ndef svm_loss(W, X, y, reg): return 0.0, W\n"
        "def softmax_loss(W, X, y, reg): return svm_loss(W, X, y, reg)\n"
        "def plain_loss(W, X, y, reg): return 0.0, W\n"
    )
    assert [(function.name, function.compiles) for function in load_functions("a.py")] == [
        ("a.py:svm_loss", True),
        ("a.py:softmax_loss", True),
        ("a.py:plain_loss", False),
    ]


def test_prepare_fetch_and_device_of_a_file(here):
    text = "device = 'cuda'\ndef prepare(W, X, y): pass\ndef fetch(loss, dW): pass\ndef svm_loss(W, X, y, reg): pass\n"
    Path("a.py").write_text(text)
    Path("b.py").write_text(text.replace("fetch", "other"))
    [elsewhere], [plain] = load_functions("a.py"), load_functions("b.py")
    assert (elsewhere.device, elsewhere.prepare.__name__, elsewhere.fetch.__name__) == ("cuda", "prepare", "fetch")
    assert (plain.device, plain.prepare, plain.fetch) == ("cpu", None, None)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("softmaxx.py", r"^softmaxx\.py: no such file; did you mean softmax\.py\?$"),
        ("softmax.py:softmax_los", r"^softmax\.py:softmax_los: there is no softmax_los; did you mean softmax_loss\?$"),
        ("softmax.py:number", r"number: has type int, but must be a function \(W, X, y, reg\)$"),
        (
            "softmax.py:helper",
            r"helper: takes \(x, y\), not \(W, X, y, reg\); add one line that calls your code: "
            r"def my_softmax_loss\(W, X, y, reg\): return \.\.\., \.\.\.$",
        ),
        ("helpers.py", r"defines helper\(x\), old\(\); .* \(line 3: syntax error: .*, skipped \(defines old\)\)$"),
        ("empty.py", r"the file defines no function$"),
        ("broken.py", r"^broken\.py: line 1: syntax error: .*, skipped; no function takes \(W, X, y, reg\)"),
        ("softmax.py:", r"^softmax\.py: ends with a colon: name a function after it, or give softmax\.py alone$"),
        ("json:", r"^json: ends with a colon: name a function after it, or give json alone$"),
        ("junk.py", r"not a Python source file"),
        ("folder", r"^folder: is a folder"),
        ("pipe.py", r"^pipe\.py: cannot be read: it is not a regular file$"),
        ("notes.ipynb", r"^notes\.ipynb: not a notebook: it has no code cells that can be read$"),
        ("gone.ipynb", r"^gone\.ipynb: no such file; did you mean notes\.ipynb\?$"),
        ("nosuchmodule:f", r"no module nosuchmodule, neither installed nor in this folder"),
        ("json:nothing", r"^json:nothing: there is no nothing"),
        ("failing_module:f", r"^failing_module: cannot be imported: ZeroDivisionError"),
        ("json:decoder", r"neither a function nor something with svm_loss or softmax_loss"),
        ("nonsense", r"neither a Python file, nor module:function, nor an entry point"),
    ],
)
def test_error_messages(here, monkeypatch, spec, message):
    Path("softmax.py").write_text("number = 3\ndef softmax_loss(W, X, y, reg): pass\ndef helper(x, y=1): pass\n")
    Path("helpers.py").write_text("def helper(x): pass\ndef old():\n    1 1\n")
    Path("empty.py").write_text("")
    Path("broken.py").write_text("softmax loss\n")
    Path("junk.py").write_bytes(b"\0\1")
    os.mkfifo("pipe.py")
    Path("notes.ipynb").write_text("{}")
    Path("folder").mkdir()
    Path("installed").mkdir()
    Path("installed/failing_module.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(here / "installed")
    with pytest.raises(CannotLoad, match=message) as caught:
        load_functions(spec)
    assert "\n" not in str(caught.value)


def test_module_gives_a_function_or_both_losses():
    assert [function.name for function in load_functions("lcbench.losses.naive:svm_loss")] == [
        "lcbench.losses.naive:svm_loss"
    ]
    both = load_functions("lcbench.losses:naive")
    assert [(function.spec, function.name, function.loss) for function in both] == [
        ("lcbench.losses:naive.svm_loss", "lcbench.losses:naive", "svm"),
        ("lcbench.losses:naive.softmax_loss", "lcbench.losses:naive", "softmax"),
    ]
    assert [again.function for function in both for again in load_functions(function.spec)] == [
        function.function for function in both
    ]


def test_module_in_the_current_folder(here):
    Path("kernels").mkdir()
    Path("kernels/fast.py").write_text("import nowhere\ndef svm_loss(W, X, y, reg): pass\n")
    assert load_functions("kernels.fast:svm_loss")[0].function is not None


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package with the entry points `turbo` and `turbo-one`."""
    (tmp_path / "turbo_losses.py").write_text(
        "from lcbench.losses import naive\n"
        "from lcbench.losses.implementation import Implementation\n"
        "TURBO = Implementation('turbo', 'cpu', {'svm': naive.svm_loss},\n"
        "                       prepare=lambda W, X, y: (W, X, y), fetch=lambda loss, dW: (loss, dW))\n"
        "svm_loss, softmax_loss = naive.svm_loss, naive.softmax_loss\n"
    )
    metadata = tmp_path / "turbo_losses-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: turbo-losses\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[lcbench.implementations]\nturbo = turbo_losses\nturbo-one = turbo_losses:TURBO\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("installed")
def test_entry_points():
    assert {"turbo", "turbo-one"} <= set(entry_point_names())
    assert [(function.spec, function.name, function.loss) for function in load_functions("turbo")] == [
        ("turbo_losses:svm_loss", "turbo", "svm"),
        ("turbo_losses:softmax_loss", "turbo", "softmax"),
    ]
    functions = load_functions("turbo-one")
    assert functions[0].spec == "turbo_losses:TURBO.svm_loss"
    # The function itself, not the method, which would call prepare and fetch.
    assert functions[0].function.__module__ == "lcbench.losses.naive"
    assert functions[0].prepare is not None


def test_file_with_windows_line_ends_and_byte_order_mark(here):
    text = (ASSIGNMENTS / "softmax.py").read_text()
    Path("softmax.py").write_bytes(text.replace("\n", "\r\n").rstrip().encode("utf-8-sig"))
    functions = load_functions("softmax.py")
    assert [function.line for function in functions] == [function.line for function in loaded("softmax.py")]
    W, X, y = np.ones((3, 2)), np.ones((4, 3)), np.array([0, 1, 0, 1])
    assert functions[0].function(W, X, y, 0)[0] == pytest.approx(np.log(2))


@needs_the_jit
@pytest.mark.parametrize("is_set", [True, False])
def test_compiled_code_is_cached_if_numba_cache_dir_is_set(tmp_path, monkeypatch, is_set):
    file = tmp_path / "mine.py"
    file.write_text(
        "from numba import njit\n"
        "@njit\n"
        "def half(x):\n"
        "    return x / 2\n"
        "def softmax_loss(W, X, y, reg):\n"
        "    return half(reg), W\n"
    )
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "kept"))
    if is_set:
        monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kept"))
    [found] = load_functions(str(file))
    assert found.function(1, 2, 3, 4.0) == (2.0, 1)
    assert bool(list((tmp_path / "kept").glob("*/mine.half*.nbc"))) == is_set
