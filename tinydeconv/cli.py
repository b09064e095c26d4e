"""The commands: tinydeconv train, denoise, upscale, sample, apply, gradcheck, bench, info.

What the user got wrong is told in one line, with exit code 2. Errors are caught where the user's
input is read and where files are written; anywhere else an error is a bug and keeps its traceback.
"""

import argparse
import shlex
import signal
import sys
from contextlib import contextmanager
from dataclasses import fields, replace
from math import inf
from pathlib import Path
from typing import Any

import tinydeconv

RECIPES = {
    "denoise": "remove Gaussian noise from photographs",
    "classify": "tell digits and letters apart",
    "dcgan": "paint characters from noise, against a critic that learns too",
    "cgan": "the same, each character on request",
    "wgan": "paint characters, against a critic that measures a distance",
    "vae": "put characters into a few numbers, and paint them from numbers",
    "cvae": "the same, each character on request",
    "sr": "enlarge photographs",
    "texture": "paint textures of any size, from one photograph",
    "fill": "fill holes in characters, and learn from it to read with few labels",
    "dejpeg": "remove the traces of JPEG compression",
    "pix2pix": "outlines to digits, or grey photographs to colour",
    "tones": "short tones of eight timbres, as a sound file",
}


def main(arguments=None):
    """Runs a command line (a list of words, default sys.argv) and returns its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(arguments).parse_args(arguments)
    try:
        return options.command(options)
    except (OSError, MemoryError, tinydeconv.cuda.OutOfMemoryError) as error:
        return _complain(error)  # a folder that is not there, a disk or a memory that is full
    except KeyboardInterrupt:
        return _complain("interrupted", 128 + signal.SIGINT)


def _train(options):
    from .recipes import common

    page = common.page(options.recipe)
    default = page.FULL if getattr(options, "full", False) else page.RECIPES[options.recipe]
    given = {f.name: getattr(options, f.name) for f in _options(default)}
    given = {name: value for name, value in given.items() if value is not None}
    if options.resume and (given or default != page.RECIPES[options.recipe]):
        words = [f"--{name.replace('_', '-')}" for name in given] or ["--full"]
        return _complain(
            f"--resume goes on with the settings of before: leave {', '.join(words)} out"
        )
    with _users_input():
        device = _device(options.device)
        if options.resume:
            training = common.resume(options.recipe, options.out, device)
            print(_where_it_is(training, options.out), flush=True)
        else:
            settings = replace(default, **given)
            training = common.start(options.recipe, options.out, settings, device)
    try:
        table = page.train(training)
    except FloatingPointError as error:
        return _complain(error, 1)
    except KeyboardInterrupt as stop:
        words = ["--out", str(options.out), "--resume"]
        if options.device != "auto":
            words += ["--device", options.device]
        again = shlex.join([*_program(), "train", options.recipe, *words])
        told = f"{stop}; " if str(stop) else ""
        return _complain(f"{told}go on with: {again}", 128 + getattr(stop, "signal", signal.SIGINT))
    print(f"\n{table}\nThe pictures, the weights and the table are in {options.out}:")
    for path in sorted(options.out.glob("[!.]*")):
        print(f"  {path}")
    return 0


def _where_it_is(training, folder):
    done = f"after {training.step} of {training.steps} steps"
    if training.step < training.steps:
        return f"going on with the training in {folder}, {done}"
    return (
        f"the training in {folder} is finished {done}: it is only measured again; for a new one "
        "choose another --out"
    )


def _denoise(options):
    from . import models
    from .data import read_image, write_image
    from .recipes.learned import denoise, noise_levels

    out = options.out or options.photo.with_name(f"{options.photo.stem}-denoised.png")
    with _users_input():
        model = models.load(options.weights or models.SHIPPED, models.Denoiser).to(
            _device(options.device)
        )
        image = read_image(options.photo)
        _require_another_file(out, options.photo)
    if options.sigma is None:
        sigma = noise_levels(image)
        where = " in brightness, red - blue and red - 2 green + blue" if sigma.size > 1 else ""
        found = ", ".join(f"{255 * level:.1f}" for level in sigma)
        print(f"noise: estimated {found} / 255{where}; --sigma tells it otherwise", flush=True)
    else:
        sigma = options.sigma / 255
    clean = denoise(model, image, sigma)
    with _users_input():
        write_image(out, clean)
    print(out)
    return 0


def _sample(options):
    from .recipes.sample import sample

    names = ("n", "label", "size", "tile")  # and what is not given is the page's to decide
    asked = {name: value for name in names if (value := getattr(options, name)) is not None}
    with _users_input():
        out = sample(options.run, options.out, options.seed, **asked)
    print(out)
    return 0


def _upscale(options):
    from . import models
    from .data import read_image, write_image
    from .recipes.upscale import upscale

    with _users_input():
        weights = options.weights or models.shipped(f"superresolution-x{options.scale}")
        model = models.load(weights, models.SuperResolution).to(_device(options.device))
        out = options.out or options.photo.with_name(f"{options.photo.stem}-x{model.scale}.png")
        image = read_image(options.photo)
        _require_another_file(out, options.photo)
    large = upscale(model, image)
    with _users_input():
        write_image(out, large)
    print(out)
    return 0


def _apply(options):
    from .data import read_image, write_image
    from .recipes.apply import load, translate

    out = options.out or options.photo.with_name(f"{options.photo.stem}-applied.png")
    with _users_input():
        model = load(options.run, _device(options.device))
        image = read_image(options.photo)
        _require_another_file(out, options.photo)
    painted = translate(model, image)
    with _users_input():
        write_image(out, painted)
    print(out)
    return 0


def _require_another_file(out, photo):
    if out.exists() and out.samefile(photo):
        raise ValueError(f"expected another file than the photograph to write to, got {out}")


def _gradcheck(options):
    from . import opcases, viz
    from .gradcheck import step_curve

    with _users_input():
        opcases.find(options.op)
        device = _device(options.device)
    rows = sorted(opcases.check(options.op, device), key=_badness)
    width = max(len(f"{row.op} {row.case}") for row in rows)
    print(f"{'relative error of derivatives':{width}}   first  second")
    for row in rows:
        print(f"{f'{row.op} {row.case}':{width}} {row.first:7.0e} {row.second:7.0e}  {row.status}")
    wrong = [row for row in rows if row.status == "wrong"]
    for row in wrong:
        print(f"\n{row.op} {row.case}\n{row.details}")
    print(f"\n{len(rows)} case{'s' * (len(rows) > 1)}, {len(wrong) or 'none'} wrong")
    if options.plot:
        case = opcases.find([f"{rows[-1].op} {rows[-1].case}"])[0]
        # Through tanh: where an op is linear, central differences of it alone have no error to see.
        steps, forward, central = step_curve(lambda *x: case(*x).tanh(), case.inputs(where=device))
        with _users_input():
            viz.step_curve(options.plot, steps, forward, central, f"tanh of {case.name}")
        print(f"errors of tanh of {case.name} by step size: {options.plot}")
    return 1 if wrong else 0


def _bench(options):
    from . import bench

    with _users_input():
        bench.prepare(options.plot, options.json)
        places = bench.places(options.device)
    report = bench.run(places)
    if options.json:
        bench.save(report, options.json)
        print(f"\nall that was measured: {options.json}")
    if options.plot:
        print("\nthe pictures:", *bench.draw(report, options.plot))
    return 0


def _info(options):
    from . import info

    for line in info.lines():
        print(line)
    return 0


def _badness(row):
    """The order of the table: cases without a derivative to check, right ones, wrong ones."""
    return row.status == "wrong", row.status == "right", max(row.first, row.second)


# ---------------------------------------------------------------- what the user gave


def _device(wish):
    """The device to compute on, which has computed something; for "auto" a GPU if one does."""
    try:
        image = tinydeconv.tensor([[[[1.0]]]], device="cuda" if wish == "auto" else wish)
        tinydeconv.nn.functional.conv2d(image, image).item()
    except Exception as error:
        if wish != "auto":
            raise RuntimeError(str(error)) from error
        if tinydeconv.cuda.is_available():  # so it should have worked
            _complain(f"on the CPU, since the GPU does not work: {error}")
        return tinydeconv.device("cpu")
    if wish == "auto":
        print(f"on the GPU, {image.device}; --device cpu goes without it", flush=True)
    return image.device


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(_complain(f"{message} (see {self.prog} --help)"))


def _parser(arguments):
    parser = _Parser(prog="tinydeconv", description="Deep learning from scratch, to learn from.")
    version = f"tinydeconv {tinydeconv.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    train = commands.add_parser("train", help="train networks on data that is always there")
    recipes = train.add_subparsers(metavar="RECIPE", required=True)
    for name, told in RECIPES.items():
        recipe = recipes.add_parser(name, help=told)
        if arguments[:2] == ["train", name]:
            _add_recipe(recipe, name)  # its options stand on its page, which takes time to import

    denoise = commands.add_parser(
        "denoise",
        help="denoise a photograph, grey or in colour",
        description="Removes Gaussian noise from a photograph and writes it with 8 bits, upright, "
        "without an alpha channel.",
    )
    denoise.add_argument("photo", metavar="PHOTO", type=Path, help="an image file of any size")
    denoise.add_argument(
        "--sigma",
        metavar="S",
        type=_noise_level,
        help="standard deviation of the noise in each colour, where white is 255 (default: "
        "estimated from the photograph)",
    )
    denoise.add_argument(
        "--weights",
        metavar="FILE",
        help="weights.safetensors of `tinydeconv train denoise` (default: those that come with "
        "the library)",
    )
    denoise.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="such as clean.png (default: PHOTO-denoised.png, beside the photograph)",
    )
    _add_device(denoise, "auto")
    denoise.set_defaults(command=_denoise)

    sample = commands.add_parser("sample", help="pictures that a trained generator paints")
    sample.add_argument(
        "run",
        metavar="RUN",
        type=Path,
        help="folder of `tinydeconv train dcgan` or `texture`, or its weights",
    )
    sample.add_argument(
        "--n", metavar="N", type=_whole_number(1), help="how many small pictures (default: 64)"
    )
    sample.add_argument(
        "--seed", metavar="S", type=_whole_number(0), default=0, help="of the noise (default: 0)"
    )
    sample.add_argument(
        "--class",
        dest="label",
        metavar="C",
        type=_whole_number(0),
        help="of a conditional generator (default: all in turn)",
    )
    sample.add_argument(
        "--size", metavar="WxH", type=_size, help="pixels of a texture (default: 512x512)"
    )
    sample.add_argument(
        "--tile",
        action="store_true",
        default=None,
        help="a texture that fits itself on all sides, to be laid side by side",
    )
    sample.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="what to write to (default: samples.png, of tones samples.wav)",
    )
    sample.set_defaults(command=_sample)

    upscale = commands.add_parser("upscale", help="enlarge a photograph, grey or in colour")
    upscale.add_argument("photo", metavar="PHOTO", type=Path, help="an image file of any size")
    upscale.add_argument(
        "--scale", type=int, choices=[2, 4], default=2, help="how many times (default: 2)"
    )
    upscale.add_argument(
        "--weights",
        metavar="FILE",
        help="weights.safetensors of `tinydeconv train sr`, whose scale counts (default: those "
        "that come with the library)",
    )
    upscale.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="such as big.png (default: PHOTO-x2.png, beside the photograph)",
    )
    _add_device(upscale, "auto")
    upscale.set_defaults(command=_upscale)

    apply = commands.add_parser(
        "apply",
        help="send a picture through a trained network of image to image",
        description="Writes what the network makes of a picture of any size, with 8 bits.",
    )
    apply.add_argument(
        "run", metavar="RUN", type=Path, help="folder of `tinydeconv train pix2pix`, or its weights"
    )
    apply.add_argument("photo", metavar="PHOTO", type=Path, help="an image file of any size")
    apply.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="such as new.png (default: PHOTO-applied.png, beside the picture)",
    )
    _add_device(apply, "auto")
    apply.set_defaults(command=_apply)

    gradcheck = commands.add_parser("gradcheck", help="check derivatives by finite differences")
    gradcheck.add_argument("op", metavar="OP", nargs="*", help="such as conv2d (default: all)")
    gradcheck.add_argument(
        "--plot",
        metavar="FILE.png",
        type=_png,
        help="draw how the worst one's errors depend on the step size",
    )
    _add_device(gradcheck, "cpu")
    gradcheck.set_defaults(command=_gradcheck)

    bench = commands.add_parser(
        "bench",
        help="how fast convolutions are on this machine, and why",
        description="Times the ladder of convolutions, from seven loops to panels on all cores, "
        "and holds it against what matrix products and copies reach; takes half a minute.",
    )
    bench.add_argument("--plot", metavar="DIR", type=Path, help="folder for the two plots")
    bench.add_argument("--json", metavar="FILE", type=Path, help="file for all samples")
    _add_device(bench, "auto")
    bench.set_defaults(command=_bench)

    info = commands.add_parser("info", help="what this machine has to compute with")
    info.set_defaults(command=_info)
    return parser


def _add_recipe(parser, name):
    from .recipes import common

    page = common.page(name)
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path("runs", name),
        help="folder for weights, pictures and table (default: %(default)s)",
    )
    if hasattr(page, "FULL"):
        parser.add_argument(
            "--full", action="store_true", help="train as the weights that come with the library"
        )
    for f in _options(page.RECIPES[name]):
        flag, default = f"--{f.name.replace('_', '-')}", getattr(page.RECIPES[name], f.name)
        told = f"{f.metadata['help']} (default: {default}"
        if getattr(getattr(page, "FULL", None), f.name, default) != default:
            told += f", with --full {getattr(page.FULL, f.name)}"
        told += ")"
        if isinstance(default, bool):
            parser.add_argument(
                flag, action=argparse.BooleanOptionalAction, default=None, help=told
            )
            continue
        kind: Any = str
        if isinstance(default, int):
            kind = _whole_number(f.metadata.get("least", 1))
        elif isinstance(default, float):
            kind = _number
        choices = f.metadata.get("choices")
        metavar = None if choices else "S" if f.name == "seed" else f.metadata.get("metavar", "N")
        parser.add_argument(flag, metavar=metavar, type=kind, choices=choices, help=told)
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the training in DIR from its last checkpoint (a finished one is only "
        "measured again)",
    )
    _add_device(parser, "auto")
    parser.set_defaults(command=_train, recipe=name)


def _options(settings):
    """The fields of a recipe's Settings that are options of the command line."""
    return [f for f in fields(settings) if "help" in f.metadata]


def _add_device(parser, default):
    parser.add_argument(
        "--device",
        choices=["auto", "cpu", "cuda"],
        default=default,
        help="cuda is a GPU, auto one if it works (default: %(default)s)",
    )


def _png(text):
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError(f"expected a file name that ends in .png, got {text!r}")
    return text


def _number(text, most=inf):
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= most or number == inf:
        range_ = "of at least 0" if most == inf else f"from 0 to {most}"
        raise argparse.ArgumentTypeError(f"expected a number {range_}, got {text!r}")
    return number


def _noise_level(text):
    return _number(text, 255)


def _size(text):
    width, x, height = text.partition("x")
    if not (x and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(
            f"expected a width and a height in pixels, such as 2048x1024, got {text!r}"
        )
    return int(width), int(height)


def _whole_number(least):
    def whole_number(text):
        if not text.isdecimal() or int(text) < least:
            message = f"expected a whole number of at least {least}, got {text!r}"
            raise argparse.ArgumentTypeError(message)
        return int(text)

    return whole_number


@contextmanager
def _users_input():
    """Inside, an error is the user's: one line, exit code 2."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        sys.exit(_complain(error))


def _complain(error, code=2):
    """Tells an error in one line and returns the exit code."""
    sentence = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.filename:  # else "[Errno 20] Not a directory: 'x'"
        sentence = f"cannot use {error.filename}: {error.strerror}"
    print(f"tinydeconv: {' '.join(sentence.split())}", file=sys.stderr)
    return code


def _program():
    """How this program was called, the first words of a command line."""
    called = Path(sys.argv[0])
    return [called.name] if called.stem == "tinydeconv" else [sys.executable, "-m", "tinydeconv"]
