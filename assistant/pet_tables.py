"""What was measured in a PET as tables that people read. Measures and decides nothing."""

from collections.abc import Iterator, Mapping, Sequence

import prompts
from assistant.pet import PetFindings
from assistant.rows import decimals_alone
from prompts import Phrasebook
from prompts import pet as pet_words
from segment.measurement import Reason
from segment.objects import Point
from segment.pet import liver
from segment.pet.lesions import SHARE, LesionUptake, Outlined
from segment.pet.organs import OrganUptake, inside_organ, organ_of
from segment.pet.records import SUV_MAX, SUV_MEAN, SUV_PEAK

SUV_DECIMALS = 2
NAMES = {"share": "share", "fixed": "fixed", "liver": "percist"}


def pet_text(findings: PetFindings, language: str) -> str:
    """Write all tables of a PET in Markdown; raises ValueError for an unknown language."""
    return "\n".join(_Writing(findings, prompts.load(language), pet_words.load(language)).lines())


class _Writing:
    """The tables in one language."""

    def __init__(self, found: PetFindings, book: Phrasebook, words: Mapping[str, str]) -> None:
        self.found, self.book, self.words = found, book, words

    def lines(self) -> Iterator[str]:
        """Yield how it was measured, a table a method, one of organs, and what it is not."""
        yield from self._how()
        for outlined in self.found.outlined:
            yield from ("", f"**{self._title(outlined)}**", "")
            yield from self._lesions(outlined)
        if self.found.organs:
            yield from ("", f"**{self.words['organs']}**", "", *self._organs())
        yield from ("", self.words["intervals"], self.words["lesions_note"])

    def _how(self) -> Iterator[str]:
        placed, words = self.found.placed, self.words
        geometry = placed.uptake.geometry
        shape = "×".join(str(n) for n in geometry.shape)
        spacing = "×".join(self.book.number(mm, 2) for mm in geometry.spacing_mm)
        size = f"{shape}, {spacing} mm"
        if placed.carried is None:
            yield words["own_grid"].format(size=size)
        else:
            kept = placed.carried.kept
            yield words["ct_grid"].format(
                size=size,
                covered=self._percent(placed.carried.covered),
                kept=words["kept_unknown"] if kept is None else self._percent(kept),
                own_max=self._suv(placed.carried.own_max),
                carried_max=self._suv(placed.carried.carried_max),
            )
            if not placed.is_frame_known:
                yield words["frame_unknown"]
        if (reference := self.found.reference) is None:
            yield words["no_liver"]
        else:
            yield words["liver"].format(
                mean=self._suv(reference.mean),
                sd=self._suv(reference.sd),
                diameter=self.book.amount(2 * liver.RADIUS_MM, "mm", 0),
                centre=self._place(reference.centre_mm),
                voxels=reference.voxels,
                factor_mean=self.book.number(liver.TIMES_MEAN, 1),
                factor_sd=self.book.number(liver.TIMES_SD, 0),
                threshold=self._suv(reference.threshold),
            )

    def _title(self, outlined: Outlined) -> str:
        level = self._suv(outlined.level)
        return self.words[NAMES[outlined.method]].format(level=level, share=self._whole_share())

    def _lesions(self, outlined: Outlined) -> Iterator[str]:
        words = self.words
        heads = [words["lesion"], words["centre"], SUV_MAX, SUV_PEAK, SUV_MEAN]
        heads += [words["mtv"], words["tlg"], *self._if_organs(words["organ"]), words["withheld"]]
        rows = [self._row(one, outlined) for one in outlined.uptakes]
        none = self.book.marks["none"]
        for number, spot in enumerate(outlined.unclear, start=len(rows) + 1):
            place, suv_max = self._place(spot.at_mm), self._suv(spot.suv_max)
            reason = self.book.reasons[spot.reason]
            blanks = [none] * 4
            rows.append([str(number), place, suv_max, *blanks, *self._if_organs(none), reason])
        if not rows:
            yield words["nothing"]
        else:
            yield from _table(heads, [*rows, self._sum(outlined)])
        yield from self._notes(outlined)

    def _row(self, one: LesionUptake, outlined: Outlined) -> list[str]:
        """Write one lesion; of one that is cut nothing may stand but its reason."""
        none, label = self.book.marks["none"], str(one.lesion.label)
        held = organ_of(one, outlined.lesions, self.found.organs)
        organ = self.words["no_organ"] if held is None else self._held(*held)
        suvs = [self._suv(value) for value in (one.suv_max, one.suv_peak, one.suv_mean)]
        values = [*suvs, self._amount(one.mtv_ml), self._amount(one.tlg_g)]
        reason = none
        if one.is_cut:
            values, reason = [none] * 5, self.book.reasons[Reason.TRUNCATED]
        place = self._place(one.lesion.centre_mm)
        return [label, place, *values, *self._if_organs(organ), reason]

    def _sum(self, outlined: Outlined) -> list[str]:
        """Write the sums, or that they rest on something withheld."""
        none = self.book.marks["none"]
        sums, reason = [none, none], self.book.reasons[Reason.DEPENDS_ON_UNRELIABLE]
        if not outlined.is_partial:
            sums, reason = [self._amount(outlined.mtv_ml), self._amount(outlined.tlg_g)], none
        return [self.words["total"], *[none] * 4, *sums, *self._if_organs(none), reason]

    def _notes(self, outlined: Outlined) -> Iterator[str]:
        words, level = self.words, outlined.level
        below = [str(u.lesion.label) for u in outlined.uptakes if u.suv_peak < level]
        note = words[f"{NAMES[outlined.method]}_note"]
        told = {"below": ", ".join(below) or words["none"], "level": self._suv(level)}
        yield from ("", note.format(**told))
        if outlined.joined:
            yield words["joined"].format(count=outlined.joined)
        smallest = self.book.amount(self.found.wanted.smallest_ml, "mL", 1)
        yield words["left_out"].format(smallest=smallest, count=outlined.left_out)

    def _organs(self) -> Iterator[str]:
        heads = [self.words["structure"], SUV_MEAN, SUV_MAX]
        for outlined in self.found.outlined:
            short = self.words[f"{NAMES[outlined.method]}_short"].format(
                share=self._whole_share(), level=self._suv(outlined.level)
            )
            for quantity in ("mtv", "tlg"):
                said = self.words["inside"].format(quantity=self.words[quantity], method=short)
                heads.append(said)
        rows = [self._organ_row(organ) for organ in self.found.organs]
        yield from _table([*heads, self.words["withheld"]], rows)

    def _organ_row(self, organ: OrganUptake) -> list[str]:
        none, name = self.book.marks["none"], self._name(organ)
        if organ.doubt is not None or organ.suv_mean is None or organ.suv_max is None:
            blanks = [none] * (2 + 2 * len(self.found.outlined))
            return [name, *blanks, self.book.reasons[organ.doubt or Reason.NO_VOXELS]]
        values = [self._suv(organ.suv_mean), self._suv(organ.suv_max)]
        for outlined in self.found.outlined:
            inside = inside_organ(organ, self.found.placed.uptake, outlined.lesions)
            values += map(self._amount, inside)
        return [name, *values, none]

    def _held(self, organ: OrganUptake, share: float) -> str:
        return f"{self._name(organ)} ({self.book.share(round(share, 2))})"

    def _name(self, organ: OrganUptake) -> str:
        return self.book.structure(organ.structure, organ.side)

    def _if_organs(self, text: str) -> list[str]:
        return [text] if self.found.organs else []

    def _suv(self, value: float) -> str:
        return self.book.number(value, SUV_DECIMALS)

    def _amount(self, value: float) -> str:
        return self.book.number(value, decimals_alone(value, "mL"))

    def _percent(self, share: float) -> str:
        return self.book.amount(100 * share, "%", 1)

    def _whole_share(self) -> str:
        return self.book.share(SHARE)

    def _place(self, at_mm: Point) -> str:
        return ", ".join(self.book.number(mm, 0) for mm in at_mm)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Write a Markdown table."""
    for cells in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(cells)} |"
