"""SUV, volume and glycolysis of the phantom's spheres, beside their truth.

    python -m tests.benchmarks.pet [--voxel 2] [--suv 4 8] [--noise] [--ct]

The spheres of the NEMA image quality phantom lie in a body of uptake 1 with a liver of 2. Blur is
an exact Gaussian of 0, 4 and 7 mm full width at half maximum; each voxel averages it. Printed are
errors in percent of the truth, by each method; bold ones lie within 2 %, and of each other number
the last column says what keeps it from that. ``--ct`` measures on voxels of 1 x 1 x 2 mm, to which
the PET is carried.
"""

import argparse
import math
from collections import Counter

import numpy as np

from segment.geometry import Geometry
from segment.pet.grid import Uptake, carried, uptake_of, uptake_on
from segment.pet.lesions import SHARE, Outlined, outlined_at, outlined_at_share
from segment.pet.liver import liver_centre, liver_reference
from tests.pet_phantom import (
    LIVER_MM,
    LIVER_RADIUS_MM,
    Sphere,
    ball_mask,
    blurred,
    pet_grid,
    phantom,
    spheres,
)

BLURS_MM = (0.0, 4.0, 7.0)
WITHIN = 2.0  # percent
NAMES = ("SUVmax", "SUVpeak", "SUVmean", "MTV", "TLG")
PEAK_MM = 12.4
CT_MM = (1.0, 1.0, 2.0)


def main() -> None:
    """Print a table for each uptake and method."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--voxel", type=float, default=2.0, metavar="MM")
    arguments.add_argument("--suv", type=float, nargs="+", default=[4.0, 8.0])
    arguments.add_argument("--noise", action="store_true")
    arguments.add_argument("--ct", action="store_true")
    chosen = arguments.parse_args()
    within: Counter[tuple[str, str]] = Counter()
    of: Counter[tuple[str, str]] = Counter()
    for suv in chosen.suv:
        for blur_mm in BLURS_MM:
            for outlined in measured(suv, blur_mm, chosen):
                print(f"\n{suv:g} : 1, blur {blur_mm:g} mm, {named(outlined)}\n")
                print(f"| mm | {' | '.join(NAMES)} | why not within {WITHIN:g} % |")
                print(f"|---|{'---|' * len(NAMES)}---|")
                for ball in spheres(suv):
                    errors = errors_of(outlined, ball)
                    print(row(ball, errors, blur_mm, chosen.noise))
                    for name, error in errors.items():
                        of[outlined.method, name] += 1
                        within[outlined.method, name] += abs(error) <= WITHIN
    print(f"\n| within {WITHIN:g} % | {' | '.join(NAMES)} |\n|---|{'---|' * len(NAMES)}")
    for method in dict.fromkeys(method for method, _ in of):
        counts = [f"{within[method, name]} of {of[method, name]}" for name in NAMES]
        print(f"| {method} | {' | '.join(counts)} |")


def measured(suv: float, blur_mm: float, chosen: argparse.Namespace) -> tuple[Outlined, ...]:
    """Make a phantom and outline it by every method."""
    grid = pet_grid((chosen.voxel,) * 3)
    volume = phantom(grid, hot=spheres(suv), fwhm_mm=blur_mm, noise=float(chosen.noise))
    uptake: Uptake = uptake_of(volume)
    if chosen.ct:
        uptake = uptake_on(volume, ct_grid(grid))
        found = carried(volume, uptake)
        print(f"\ncarried: kept {found.kept:.2%}, highest {found.own_max:.2f} -> ", end="")
        print(f"{found.carried_max:.2f}")
    liver = ball_mask(grid, LIVER_RADIUS_MM, LIVER_MM)
    reference = liver_reference(volume, liver_centre(liver, grid))
    return (
        outlined_at_share(uptake),
        outlined_at(uptake, 2.5, method="fixed"),
        outlined_at(uptake, reference.threshold, method="liver"),
    )


def ct_grid(inner: Geometry) -> Geometry:
    """Lay a CT's voxels over the field of a PET."""
    size_mm = np.multiply(inner.shape, inner.spacing_mm)
    shape = tuple(int(n) for n in size_mm // CT_MM)
    affine = np.diag([-CT_MM[0], -CT_MM[1], CT_MM[2], 1.0])
    affine[:3, 3] = inner.centre_mm - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Geometry((shape[0], shape[1], shape[2]), affine)


def named(outlined: Outlined) -> str:
    """Name a method."""
    if outlined.method == "share":
        return f"{SHARE:.0%} of SUVmax"
    return f"{outlined.method}, at {outlined.level:.2f}"


def errors_of(outlined: Outlined, ball: Sphere) -> dict[str, float]:
    """Return the errors in percent; a ball that is not outlined by itself has lost everything."""
    for one in outlined.uptakes:
        if math.dist(one.lesion.centre_mm, ball.centre_mm) < ball.diameter_mm / 2:
            found = (one.suv_max, one.suv_peak, one.suv_mean, one.mtv_ml, one.tlg_g)
            truth = (ball.suv, ball.suv, ball.suv, ball.volume_ml, ball.tlg_g)
            pairs = zip(NAMES, found, truth, strict=True)
            return {name: 100 * (a / b - 1) for name, a, b in pairs}
    return dict.fromkeys(NAMES, -100.0)


def row(ball: Sphere, errors: dict[str, float], blur_mm: float, is_noisy: bool) -> str:
    """Write one sphere, and what keeps its numbers from the truth."""
    cells = [f"{e:+.1f}" if abs(e) > WITHIN else f"**{e:+.1f}**" for e in errors.values()]
    if errors["SUVmax"] == -100:
        cells, why = ["–"] * len(NAMES), ["not found, or its outline is not its own"]
    else:
        why = list(reasons(ball, errors, blur_mm, is_noisy))
    return f"| {ball.diameter_mm:g} | {' | '.join(cells)} | {'; '.join(why) or '–'} |"


def reasons(ball: Sphere, errors: dict[str, float], blur_mm: float, is_noisy: bool) -> list[str]:
    """Explain each error by what is known of it."""
    middle = float(blurred(ball.diameter_mm / 2, blur_mm, np.array([0.0]))[0])
    lost = 100 * (1 - middle) * (ball.suv - 1) / ball.suv
    told = []
    if errors["SUVmax"] < -WITHIN:
        told.append(f"blur takes {lost:.0f} % of its middle, voxels more")
    if errors["SUVmax"] > WITHIN and is_noisy:
        told.append("the maximum picks noise")
    if errors["SUVpeak"] < -WITHIN:
        is_small = ball.diameter_mm <= PEAK_MM
        told.append(
            "smaller than the sphere of 1 mL" if is_small else "blur and voxels in the peak"
        )
    if errors["SUVmean"] < -WITHIN:
        told.append("blurred rim in the mean")
    if errors["MTV"] > WITHIN:
        told.append("threshold below half-way to the background")
    if errors["MTV"] < -WITHIN:
        told.append("threshold above half-way, or a rim too curved")
    if abs(errors["TLG"]) > WITHIN:
        told.append("activity outside of the outline" if errors["TLG"] < 0 else "background inside")
    return told


if __name__ == "__main__":
    main()
