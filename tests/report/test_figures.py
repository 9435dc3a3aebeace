import io
import re
import shutil
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest

import synthetic_run
from fluxeq.analysis.tables import Results
from fluxeq.errors import InputError
from fluxeq.lattice import shape_name
from fluxeq.report.figures import fig1, fig5b, looks, points
from fluxeq.report.figures.figure import Figure, OfScores
from fluxeq.report.figures.registry import FIGURES, write_figure, write_scores, write_searches
from fluxeq.study.extension import as_toml
from fluxeq.study.study import load_study

SHOWS = {
    "fig1": "measurements/translation.csv",
    "fig2": "regression",
    "fig3": "regression",
    "fig4": "regression",
    "fig5a": "measurements/example.csv",
    "fig5b": "measurements/feature_maps.csv",
    "fig6a": "detection",
    "fig6b": "detection",
    "fig7a": "counting",
    "fig7b": "counting",
    "search": "searches",
    "selection": "searches",
    "learning": "models",
    "sampling": "ensembles",
}
"""What every figure needs: a file, a folder, or rows of a task."""


def numbers_of(name: str, run: Path) -> pd.DataFrame:
    return FIGURES[name].numbers(run)


def lay_out(run: Path, name: str) -> None:
    """Draw a figure without rendering it."""
    figure = FIGURES[name].draw(FIGURES[name].numbers(run))
    figure.draw_without_rendering()


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_written_with_exactly_its_numbers(made_up_run, name):
    table, pdf, png = write_figure(made_up_run, name)
    assert [path.name for path in (table, pdf, png)] == [f"{name}.csv", f"{name}.pdf", f"{name}.png"]
    numbers = FIGURES[name].numbers(made_up_run)
    read = pd.read_csv(table, dtype=dict(numbers.dtypes))
    pd.testing.assert_frame_equal(read, numbers.reset_index(drop=True), rtol=1e-12)
    assert pdf.read_bytes().startswith(b"%PDF")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert png.stat().st_size > 10_000


def test_files_are_equal_for_equal_numbers(tables, tmp_path):
    first, second = (write_figure(tables.write(tmp_path / name), "fig4") for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    tables.metrics["loss"] *= 2
    changed = write_figure(tables.write(tmp_path / "c"), "fig4")
    assert all(path.read_bytes() != other.read_bytes() for path, other in zip(first, changed, strict=True))


def test_figures_do_not_depend_on_the_settings_of_the_user(made_up_run):
    import matplotlib

    picture = write_figure(made_up_run, "fig6a")[2]
    before = picture.read_bytes()
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        write_figure(made_up_run, "fig6a")
    assert picture.read_bytes() == before


def test_an_unknown_figure_names_those_that_there_are(made_up_run):
    with pytest.raises(
        InputError, match=r"^figure 'fig9': choose one of fig1, .*, search, selection, sampling, or give package"
    ):
        write_figure(made_up_run, "fig9")


@pytest.mark.parametrize(("name", "needs"), [item for item in SHOWS.items() if item[0] != "sampling"])
def test_what_a_run_lacks_is_named_with_the_way_out(tables, tmp_path, name, needs):
    run = tables.write(tmp_path / "run")
    if needs.endswith(".csv"):
        (run / needs).unlink()
    elif (run / needs).is_dir():
        shutil.rmtree(run / needs)
    else:
        tables.metrics[tables.metrics["task"] != needs].to_csv(run / "metrics.csv", index=False)
    with pytest.raises(InputError, match=rf"{re.escape(needs)}.*run 'fluxeq reproduce' first"):
        write_figure(run, name)
    assert not (run / "figures").exists()


@pytest.mark.parametrize("name", ["fig4", "fig6b", "fig7b"])
def test_a_run_that_has_come_to_flattening_networks_only(tables, tmp_path, name):
    tables.metrics = tables.metrics[tables.metrics["architecture"] == "FL"]
    with pytest.raises(InputError, match="no rows of an architecture other than FL; run 'fluxeq reproduce' first"):
        write_figure(tables.write(tmp_path / "run"), name)


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(InputError, match=r"study\.toml: no such file; run 'fluxeq reproduce' first"):
        write_figure(tmp_path, "fig4")


def test_the_study_file_says_on_what_was_trained(tables, tmp_path):
    run = tables.write(tmp_path / "run")
    (run / "study.toml").write_text("name = 'a'\nseed = 1\n[tasks.regression]\nshape = [60, 4]\n")
    with pytest.raises(InputError, match=r"tasks\.regression\.n_training"):
        write_figure(run, "fig3")
    (run / "study.toml").unlink()
    with pytest.raises(InputError, match=r"study\.toml: no such file"):
        write_figure(run, "fig2")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("", "cannot be read"), ("task,t,x\na,0,0\n", "no column k_t"), ("t,x\n0,none\n", "cannot be read")],
)
def test_a_table_that_is_not_one_is_named(tables, tmp_path, content, complaint):
    run = tables.write(tmp_path / "run")
    (run / "measurements" / "example.csv").write_text(content)
    with pytest.raises(InputError, match=f"example.csv: {complaint}"):
        write_figure(run, "fig5a")


def test_a_failed_network_is_the_worst_one_and_figures_are_still_drawn(tables, tmp_path):
    metrics = tables.metrics
    failed = (metrics["architecture"] == "ST") & (metrics["instance"] == 0)
    metrics.loc[failed, ["loss", "mean_n"]] = np.nan
    metrics.loc[(metrics["task"] == "detection") & (metrics["architecture"] == "EQ"), "loss"] = 0.0
    run = tables.write(tmp_path / "run")
    numbers = numbers_of("fig4", run).set_index(["family", "shape"])
    assert numbers.loc[("ST", "60x4"), "highest"] == np.inf
    assert np.isfinite(numbers.loc[("ST", "60x4"), "median"])
    for name in ("fig2", "fig4", "fig6a", "fig6b", "fig7a", "fig7b"):
        lay_out(run, name)


def test_further_families_stand_beside_the_first_with_a_look_of_their_own(tables, tmp_path):
    metrics = tables.metrics
    eq = metrics[metrics["family"] == "EQ"]
    further = [eq.assign(family=name) for name in ("AB", "NA")]
    function = eq[eq["instance"] == 0].assign(family="torch", architecture="", n_parameters=None)
    tables.metrics = pd.concat([metrics, *further, eq.assign(family="AC", augmentation=True), function])
    run = tables.write(tmp_path / "run")
    numbers = numbers_of("fig4", run)
    shown = looks.styles_of(numbers[numbers["protocol"] == "searched"])
    assert list(shown) == ["EQ", "ST", "AB", "NA", "torch"]
    assert len(set(shown.values())) == len(shown)
    assert shown["EQ"] == looks.KNOWN["EQ"][0]
    last = FIGURES["fig4"].draw(numbers).axes[-1]
    markers = {look.marker for look in shown.values()}
    drawn = {(line.get_color(), line.get_marker()) for line in last.lines if line.get_marker() in markers}
    assert drawn == {(look.colour, look.marker) for look in shown.values()}
    for name in ("fig2", "fig4", "fig6a", "fig7b"):
        lay_out(run, name)


def test_a_study_with_one_point_of_each_kind_is_drawn(tmp_path):
    made = synthetic_run.tables(scale=synthetic_run.Scale((100,), (1.05,), ("60x4",), 1))
    made.metrics = made.metrics[~made.metrics["augmentation"] & made.metrics["shape"].isin(["60x4", "8x8"])]
    made.metrics = made.metrics[made.metrics["mu"].isin([1.05, 1.0]) & (made.metrics["n_worms"].fillna(1) == 1)]
    run = made.write(tmp_path / "run")
    for name in FIGURES:
        lay_out(run, name)


def test_translations_are_listed_family_by_family(made_up_run):
    numbers = numbers_of("fig1", made_up_run).set_index(["task", "family"])
    eq, st, fl = (numbers.loc[("regression", name)] for name in ("EQ", "ST", "FL"))
    assert eq["translation_error"] < fig1.ROUNDING < st["translation_error"]
    assert st["residual_error"] < fig1.ROUNDING
    assert np.isnan(fl["residual_error"])


def test_panels_of_figure_2(made_up_run):
    numbers = numbers_of("fig2", made_up_run)
    for protocol, end in (("searched", ""), ("same layers", ", fixed")):
        rows = numbers[numbers["protocol"] == protocol]
        shown = {panel: list(looks.styles_of(of)) for panel, of in rows.groupby("panel", sort=False)}
        assert shown == {
            "no augmentation": [f"EQ{end}", f"ST{end}", f"FL{end}"],
            "ST with augmentation": [f"EQ{end}", f"ST, augmented{end}"],
            "FL with augmentation": [f"EQ{end}", f"FL, augmented{end}"],
        }


def test_families_that_look_alike_have_one_name_in_the_legend(made_up_run):
    """It is the name of the family without augmentation."""
    figure = FIGURES["fig2"].draw(numbers_of("fig2", made_up_run))
    names = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in figure.axes if axes.get_legend()]
    assert names == [["EQ, fixed", "ST, fixed", "FL, fixed"], ["EQ", "ST", "FL"]]


def test_figure_3_shows_the_best_instance_where_it_was_trained(tables, tmp_path):
    metrics = tables.metrics
    trained = (metrics["architecture"] == "EQ") & (metrics["n_training"] == 4000) & (metrics["task"] == "regression")
    best = trained & (metrics["instance"] == 1) & (metrics["shape"] == "60x4") & (metrics["mu"] == 1.05)
    metrics.loc[trained & (metrics["instance"] == 1), "loss"] = 1.0
    metrics.loc[best, "loss"] = 1e-12
    numbers = numbers_of("fig3", tables.write(tmp_path / "run"))
    assert set(numbers["protocol"]) == {"searched", "same layers"}
    assert numbers["model"].unique().tolist() == ["models/regression-EQ-4000/01.safetensors"]
    assert numbers["shape"].unique().tolist() == ["50x2", "60x4", "125x8", "200x10"]
    assert numbers.groupby(["protocol", "quantity", "shape"])["mu"].is_monotonic_increasing.all()


def test_figure_3_shows_the_protocol_that_there_is(tables, tmp_path):
    tables.metrics = tables.metrics[tables.metrics["protocol"] == "searched"]
    run = tables.write(tmp_path / "run")
    assert set(numbers_of("fig3", run)["protocol"]) == {"searched"}
    lay_out(run, "fig3")


def test_lattices_that_a_network_cannot_take_are_absent(made_up_run):
    numbers = numbers_of("fig4", made_up_run)
    by_family = {name: list(rows["shape"]) for name, rows in numbers.groupby("family") if "fixed" not in name}
    assert by_family == {"EQ": ["50x2", "60x4", "125x8", "200x10"], "ST": ["50x2", "60x4", "200x10"]}


def test_figure_5b_shows_the_selected_channel_first(made_up_run):
    numbers = numbers_of("fig5b", made_up_run)
    maps = numbers.dropna(subset="channel")
    for _, rows in maps.groupby("family"):
        assert rows["selected"].iloc[0]
        assert rows["channel"].nunique() == fig5b.MOST
    assert sorted(numbers["divergence"].dropna()) == [-1, 1]


def test_figure_5b_outlines_what_the_farthest_site_sees(tables, tmp_path):
    """If the network is known, here with the default layers of EQ; across both boundaries."""
    numbers = numbers_of("fig5b", tables.write(tmp_path / "run"))
    fields = numbers.groupby("family")["receptive_field"].first()
    assert fields["EQ, fixed"] == 2
    rows = numbers[(numbers["family"] == "EQ, fixed") & numbers["selected"].fillna(False)].copy()
    rows["value"] = np.where((rows["t"] == 7) & (rows["x"] == 3), -9.0, 1.0)  # below the median
    axes = FIGURES["fig5b"].draw(pd.concat([rows, numbers[numbers["divergence"].notna()]])).axes[0]
    patches = [patch for patch in axes.patches if patch.get_linestyle() != "solid"]
    corners = {tuple(np.round(np.array(patch.get_xy()) + 0.5)) for patch in patches}
    assert corners == {(3, 7), (3, -1), (-5, 7), (-5, -1)}
    assert {round(patch.get_width()) for patch in patches} == {2}
    assert axes.get_xlim() == axes.get_ylim() == (-0.5, 7.5)

    tables.study = tables.study.replace("[tasks.detection]\n", "[tasks.detection]\nsearches = 2\n")
    fields = numbers_of("fig5b", tables.write(tmp_path / "two")).groupby("family")["receptive_field"].first()
    assert fields["EQ, fixed"] == 2
    assert pd.isna(fields["EQ"])  # its instances use two winners


def test_figure_6a_is_about_the_training_lattice(made_up_run):
    rows = Results(made_up_run).metrics
    chosen = rows[(rows["task"] == "detection") & (rows["family"] == "EQ") & (rows["shape"] == "8x8")]
    expected = chosen[chosen["mu"] == 1.0].groupby("instance")["accuracy"].mean()
    numbers = numbers_of("fig6a", made_up_run).set_index(["quantity", "family", "mu"])
    found = numbers.loc[("accuracy", "EQ", 1.0)]
    assert found["lowest"] == pytest.approx(expected.min())
    assert found["median"] == pytest.approx(expected.median())


def test_the_history_of_a_search(made_up_run):
    numbers = numbers_of("search", made_up_run)
    assert list(numbers["task"].unique()) == ["regression", "detection", "counting"]
    for _, rows in numbers[numbers["quantity"] == "setting"].groupby(["task", "search"]):
        assert list(rows["number"]) == list(range(1, len(rows) + 1))
        kept = rows.loc[~rows["pruned"], "value"]
        assert list(rows.loc[kept.index, "best_so_far"]) == list(kept.cummin())
        assert rows.loc[rows["winner"], "value"].tolist() == [kept.min()]
        assert rows["pruned"].any()
    importance = numbers.groupby(["task", "search"])["importance"].sum()
    assert list(importance) == pytest.approx([1] * 12)


def test_a_search_whose_trainings_diverged_is_drawn(tables, tmp_path):
    for trial in tables.searches["detection", "EQ"]:
        trial["value"] = None
    lay_out(tables.write(tmp_path / "run"), "search")


def test_a_search_of_few_settings_has_no_importances(tmp_path):
    trials = synthetic_run.search(np.random.default_rng(1), 3)
    synthetic_run.write_search(tmp_path / "found", "regression", "EQ", trials)
    written = write_searches([tmp_path / "found"], "search", {}, tmp_path / "found")
    assert [path.name for path in written] == ["search.csv", "search.pdf", "search.png"]
    assert set(pd.read_csv(tmp_path / "found" / "search.csv")["quantity"]) == {"setting"}


def test_a_search_that_is_not_one_is_named(tables, tmp_path):
    run = tables.write(tmp_path / "run")
    (run / "searches" / "detection-EQ" / "trials.json").write_text("[{}]")
    with pytest.raises(InputError, match=r"detection-EQ: not the results of a search .*; run 'fluxeq reproduce'"):
        numbers_of("search", run)


@pytest.mark.parametrize(
    ("panel", "loss", "choice", "place"),
    [(0, "validation", "chosen", "1.05"), (1, "elsewhere", "chosen_elsewhere", "0.97")],
)
def test_what_each_validation_set_chooses_has_a_star(made_up_run, panel, loss, choice, place):
    """In every search, largest for the best of an architecture; hollow markers have a hidden dense layer."""
    numbers = numbers_of("selection", made_up_run)
    assert numbers.groupby("search")[choice].sum().tolist() == [1] * 6
    axes = FIGURES["selection"].draw(numbers).axes[panel]
    stars = {(*line.get_xdata(), *line.get_ydata()): line for line in axes.lines if line.get_marker() == "*"}
    chosen = numbers[numbers[choice]]
    assert stars.keys() == {*zip(chosen[loss], chosen["test"], strict=True)}
    largest = max(star.get_markersize() for star in stars.values())
    large = {at for (at, _), star in stars.items() if star.get_markersize() == largest}
    assert large == {*chosen.groupby("architecture")[loss].min()} < {*chosen[loss]}
    n_drawn = {True: 0, False: 0}
    for line in axes.lines:
        if line.get_marker() not in ("*", "None"):
            n_drawn[line.get_markerfacecolor() == "none"] += len(line.get_xdata())
    assert n_drawn == numbers["dense"].value_counts().to_dict()
    assert axes.get_xlabel().endswith(f" = {place}")


def test_settings_without_a_finite_loss_are_in_the_table_and_not_drawn(tables, tmp_path):
    tables.searches["regression", "EQ"][-1]["observed"] = {"elsewhere": [None], "test": [1.0, None]}
    run = tables.write(tmp_path / "run")
    assert np.isinf(numbers_of("selection", run)["elsewhere"]).sum() == 1
    lay_out(run, "selection")


def test_two_sections_that_look_elsewhere_are_two_rows(tables, tmp_path):
    content = tomllib.loads(tables.study)
    content["tasks"]["another"] = {"task": "regression", **content["tasks"]["regression"]}
    tables.study = as_toml(content)
    tables.searches["another", "ST"] = tables.searches["regression", "ST"]
    run = tables.write(tmp_path / "run")
    assert numbers_of("selection", run)["task"].unique().tolist() == ["regression", "another"]
    assert len(FIGURES["selection"].draw(numbers_of("selection", run)).axes) == 4
    lay_out(run, "selection")


def test_some_searches_of_a_run(made_up_run):
    """As drawn for an unfinished study."""
    folders = [made_up_run / "searches" / f"{name}" for name in ("regression-FL", "regression-ST-2", "counting-EQ")]
    sections, place = Results(made_up_run).study.tasks, made_up_run / "figures"
    write_searches(folders, "selection", sections, place)
    found = pd.read_csv(made_up_run / "figures" / "selection.csv")
    assert found["search"].unique().tolist() == ["regression-ST-2", "regression-FL"]
    write_searches(folders, "search", sections, place)
    assert pd.read_csv(made_up_run / "figures" / "search.csv")["search"].nunique() == 3
    with pytest.raises(InputError, match="figure 'fig4': shows more than searches"):
        write_searches(folders, "fig4", sections, place)


def test_values_of_mu_that_agree_to_six_digits_are_two(tables, tmp_path):
    near = 1.5 + 1e-9
    rows = tables.metrics[(tables.metrics["task"] == "detection") & (tables.metrics["mu"] == 1.5)]
    tables.metrics = pd.concat([tables.metrics, rows.assign(mu=near, accuracy=0.0)])
    numbers = numbers_of("fig6a", tables.write(tmp_path / "run"))
    accuracy = numbers[numbers["quantity"] == "accuracy"].groupby("mu")["highest"].max()
    assert accuracy[near] == 0 < accuracy[1.5]
    axis = FIGURES["fig6a"].draw(numbers).axes[-1].xaxis
    assert list(axis.get_ticklocs()) == [1.0, 1.25, 1.5, near]
    assert [text.get_text() for text in axis.get_ticklabels()] == ["1", "1.25", "", "1.500000001"]  # no space for all


def meaning_of(figure) -> list[str]:
    """The entries of the legend below the panels."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


SPREAD_OF_MANY = ["best to worst instance", "95 % interval of the median", "mean"]


@pytest.mark.parametrize(
    ("n_instances", "expected"),
    [
        (1, ["single instance"]),
        (2, ["median of 2 instances", "best to worst instance"]),
        (3, ["median of 3 instances", "best to worst instance", "mean"]),  # the interval covers the whole range
        (10, ["median of 10 instances", *SPREAD_OF_MANY]),
    ],
)
def test_a_legend_names_what_is_drawn(tmp_path, n_instances, expected):
    made = synthetic_run.tables(scale=synthetic_run.Scale((100, 500), (0.91, 1.05), ("60x4", "200x10"), n_instances))
    run = made.write(tmp_path / "run")
    assert meaning_of(FIGURES["fig2"].draw(numbers_of("fig2", run))) == [*expected, "lines guide the eye"]
    assert meaning_of(FIGURES["fig4"].draw(numbers_of("fig4", run))) == [*expected, "in the training set"]
    told = meaning_of(FIGURES["fig7a"].draw(numbers_of("fig7a", run)))
    assert told[:-3] == expected
    assert told[-3:] == ["95 % binomial error of 1000 configurations", "in the training set", "lines guide the eye"]


@pytest.mark.parametrize(
    ("name", "trained"), [("fig4", ["60x4"]), ("fig6a", [1.5]), ("fig6b", ["8x8"]), ("fig7a", [0, 5])]
)
def test_what_was_trained_at_is_marked(made_up_run, name, trained):
    numbers = numbers_of(name, made_up_run)
    assert numbers.loc[numbers["trained"]].iloc[:, 5].unique().tolist() == trained
    lines = {tuple(line.get_xdata()) for line in FIGURES[name].draw(numbers).axes[0].lines}
    at = [list(numbers["shape"].unique()).index(place) if "shape" in numbers else place for place in trained]
    assert {(place, place) for place in at} <= lines


def test_families_of_one_place_stand_apart(made_up_run):
    """All of them are nearer to their own point than to the next."""
    numbers = numbers_of("fig2", made_up_run)
    figure = FIGURES["fig2"].draw(numbers)
    figure.draw_without_rendering()
    axes, markers = figure.axes[0], {look.marker for styles in looks.KNOWN.values() for look in styles}
    drawn = [line for line in axes.lines if line.get_marker() in markers]
    places = np.array([line.get_transform().transform(line.get_xydata())[:, 0] for line in drawn])
    assert len(places) == 3
    assert (np.diff(places, axis=0) > 1).all()
    middles = axes.transData.transform([(n, 1) for n in sorted(numbers["n_training"].unique())])[:, 0]
    nearest = np.abs(places[:, :, None] - middles).argmin(axis=-1)
    assert (nearest == np.arange(len(middles))).all()


def test_every_size_has_a_tick_and_as_many_labels_as_there_is_room_for():
    axes = matplotlib.figure.Figure().subplots()
    axes.set_xscale("log")
    sizes = [100, 150, 200, 250, 500, 750, *range(1000, 20001, 1000)]
    points.ticks_at(axes, sizes)
    assert list(axes.get_xticks()) == sizes
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels[:5] == ["100", "150", "200", "250", "500"]
    assert labels[-1] == "20000"
    assert 10 < sum(map(bool, labels)) < len(sizes)


def test_figure_1_draws_the_layers_with_what_breaks_translations(made_up_run):
    numbers = numbers_of("fig1", made_up_run).set_index(["task", "family"])["layers"]
    layers = "conv 2x2, 16 > conv 1x1, 16 > readout > pool all sites"
    assert numbers["regression", "EQ, fixed"] == layers
    assert numbers["regression", "ST, fixed"] == layers.replace("16", "16 stride 2", 1)
    assert numbers["counting", "FL, fixed"].endswith("flatten all sites > dense 16 > readout")
    assert numbers["detection", "ST"].startswith("conv ")


def test_figure_1_of_networks_that_are_not_known_here(tables, tmp_path):
    run = tables.write(tmp_path / "run")
    shutil.rmtree(run / "searches")
    numbers = numbers_of("fig1", run).set_index(["task", "family"])["layers"]
    assert numbers["regression", "EQ"] == ""
    lay_out(run, "fig1")


def test_what_is_seen_is_told_with_numbers(made_up_run):
    """For every figure, in words, for those who cannot see it."""
    for name in FIGURES:
        table = io.StringIO(FIGURES[name].numbers(made_up_run).to_csv(index=False))  # as the page reads it
        told = FIGURES[name].alt_text(pd.read_csv(table))
        assert re.search(r"\d", told), name


def test_a_shape_that_is_none_is_named(tables, tmp_path):
    tables.metrics.loc[3, "shape"] = "60xx4"
    with pytest.raises(InputError, match=r"metrics\.csv: invalid shape"):
        write_figure(tables.write(tmp_path / "run"), "fig4")


@pytest.mark.parametrize("content", ["[]", "[1]", "{}", '["a"]', "3", '[{"value": "a"}]'])
def test_a_damaged_search_is_named(tables, tmp_path, content):
    run = tables.write(tmp_path / "run")
    for name in ("best", "trials"):
        folder = run / "searches" / "counting-EQ"
        before = (folder / f"{name}.json").read_text()
        (folder / f"{name}.json").write_text(content)
        with pytest.raises(InputError, match="searches/counting-EQ: not the results of a search"):
            write_figure(run, "search")
        (folder / f"{name}.json").write_text(before)


def without(tables, *sections):
    content = tomllib.loads(tables.study)
    for section in sections:
        del content["tasks"][section]
    tables.study = as_toml(content)


@pytest.mark.parametrize(
    ("sections", "shown"),
    [
        ((), set(FIGURES)),
        (("counting", "zhou"), set(FIGURES) - {"fig7a", "fig7b"}),
        (("regression", "detection", "counting"), {"fig1", "learning", "sampling"}),
        (("regression",), set(FIGURES) - {"fig2", "fig3", "fig4", "selection"}),
    ],
)
def test_a_study_shows_what_it_has_data_for(tables, tmp_path, sections, shown):
    without(tables, *sections)
    study = load_study(tables.write(tmp_path / "run") / "study.toml")
    assert {name for name, figure in FIGURES.items() if figure.shows(study)} == shown


@pytest.mark.parametrize(
    ("families", "missing"),
    [
        ("FL = {}", {"fig6b", "fig5b"}),
        ('"EQ, augmented" = { architecture = "EQ", augmentation = true }', {"fig6a", "fig6b", "fig5b"}),
        ('torch = { function = "my_module:predict" }', {"fig5b"}),
    ],
    ids=["bound", "augmented", "function"],
)
def test_a_figure_needs_families_that_it_can_show(tables, tmp_path, families, missing):
    content = tomllib.loads(tables.study)
    content["tasks"]["detection"]["families"] = tomllib.loads(families)
    tables.study = as_toml(content)
    study = load_study(tables.write(tmp_path / "run") / "study.toml")
    assert {name for name, figure in FIGURES.items() if not figure.shows(study)} == missing


def drawn_here(numbers):
    picture = matplotlib.figure.Figure()
    picture.subplots().plot(numbers["a"])
    return picture


MINE = Figure("mine", "A line.", "", lambda study: True, lambda run: pd.DataFrame({"a": [1, 2]}), drawn_here)


def test_a_figure_of_somebody_else(made_up_run):
    """By its location; the files are named after the figure."""
    table, *_ = write_figure(made_up_run, f"{__name__}:MINE")
    assert table.read_text() == "a\n1\n2\n"
    assert table.name == "mine.csv"


@pytest.mark.parametrize("name", ["np", "lay_out"])
def test_what_is_not_a_figure_is_refused(made_up_run, name):
    with pytest.raises(InputError, match=rf"^figure '{__name__}:{name}': must be an instance of \S+Figure$"):
        write_figure(made_up_run, f"{__name__}:{name}")


def test_an_entry_point_has_the_name_of_its_figure(monkeypatch):
    monkeypatch.setitem(FIGURES._points, "other", EntryPoint("other", f"{__name__}:MINE", "fluxeq.figures"))
    with pytest.raises(InputError, match=r"^figure 'other': its name is 'mine'; the names must agree$"):
        FIGURES["other"]


OF_SCORES = ("fig2", "fig3", "fig4", "fig6a", "fig6b", "fig7a", "fig7b")


def test_figures_that_show_scores_only():
    assert tuple(name for name in FIGURES if isinstance(FIGURES[name].numbers, OfScores)) == OF_SCORES


@pytest.mark.parametrize("name", OF_SCORES)
def test_a_figure_of_tables_has_the_numbers_of_the_run(made_up_run, tmp_path, name):
    """Also from two tables; only the couplings and numbers of the training set are unknown."""
    numbers = FIGURES[name].numbers(made_up_run)
    scores = pd.read_csv(made_up_run / "metrics.csv")
    shape = shape_name(Results(made_up_run).section(FIGURES[name].numbers.section).shape)
    for part, rows in (("a", scores[: len(scores) // 2]), ("b", scores[len(scores) // 3 :])):
        rows.to_csv(tmp_path / f"{part}.csv", index=False)
    output = tmp_path / "numbers.csv"
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    write_scores(files, name, output, shape)
    read = pd.read_csv(output, dtype=dict(numbers.dtypes))
    compared = [column for column in numbers if column != "trained"]
    pd.testing.assert_frame_equal(read[compared], numbers[compared].reset_index(drop=True), rtol=1e-9)
    write_scores(files, name, tmp_path / "figure.png", shape)
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.fixture
def scores(made_up_run):
    """A table made without a run: no protocols, the first family of each architecture."""
    table = pd.read_csv(made_up_run / "metrics.csv").assign(protocol="")
    return table[table["family"] == table["architecture"]]


def drawn_from(table, folder, name="fig4", shape=None):
    table.to_csv(folder / "scores.csv", index=False)
    write_scores([folder / "scores.csv"], name, folder / "numbers.csv", shape)
    return pd.read_csv(folder / "numbers.csv", keep_default_na=False)


@pytest.mark.parametrize("name", OF_SCORES)
def test_scores_without_a_protocol(scores, tmp_path, name):
    found = drawn_from(scores[scores["shape"].isin(["60x4", "8x8"])], tmp_path, name)
    assert set(found["protocol"]) == {""}
    assert "trained" not in found or not found["trained"].any()  # it is unknown here
    write_scores([tmp_path / "scores.csv"], name, tmp_path / "figure.pdf")


def test_families_under_their_own_names_each_with_its_largest_training_set(scores, tmp_path):
    few = scores[scores["n_training"] == scores["n_training"].min()].assign(family="EQ, few data")
    found = drawn_from(pd.concat([scores, few[few["architecture"] == "EQ"]]), tmp_path)
    assert set(found["family"]) == {"EQ", "ST", "EQ, few data"}


def test_the_best_instance_of_a_table_is_that_of_all_its_rows(scores, tmp_path):
    eq = (scores["task"] == "regression") & (scores["architecture"] == "EQ")
    scores.loc[eq, "loss"] = np.where(scores["instance"][eq] == 1, 1e-9, 1e-3)
    [model] = drawn_from(scores, tmp_path, "fig3")["model"].unique()
    assert model == scores[eq & (scores["instance"] == 1)].sort_values("n_training")["model"].iloc[-1]


@pytest.mark.parametrize(
    ("name", "shape", "change", "message"),
    [
        ("fig1", None, {}, "figure 'fig1': needs a run, not only scores; from tables: fig2, fig3"),
        ("fig9", None, {}, "figure 'fig9': choose one of fig1"),
        ("fig7a", None, {}, r"has lattices 8x8, 16x16.*; select the training lattice with --shape"),
        ("fig7a", "9x9", {}, "scores.csv: no rows with shape = 9x9; make them with 'fluxeq evaluate --output'"),
        ("fig4", None, {"task": "detection"}, "scores.csv: no rows of task regression; make them"),
        ("fig4", None, {"architecture": "FL"}, "no rows of an architecture other than FL; make them"),
        ("fig3", None, {"architecture": "ST"}, "no rows of EQ without augmentation; make them"),
        ("fig3", None, {"target": "n_worms"}, "no rows with a value of mu; make them"),
        ("fig6a", "8x8", {"mu": np.nan}, "no rows with a value of mu; make them"),
        ("fig4", None, {"shape": "60xx4"}, "invalid shape; make them"),
        ("fig4", None, {"loss": "small"}, "scores.csv: cannot be read"),
        (
            "fig4",
            None,
            {"instance": 0},
            "both are instance 0 of the same family; evaluate one of them",
        ),
    ],
)
def test_tables_that_do_not_do(scores, tmp_path, name, shape, change, message):
    with pytest.raises(InputError, match=message):
        drawn_from(scores.assign(**change), tmp_path, name, shape)
    assert not (tmp_path / "numbers.csv").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "cannot be read"), ("a,b\n1,x\n", "no column task, family"), ("{head}\n", "no rows; make them")],
)
def test_files_that_are_no_tables_of_scores(scores, tmp_path, content, message):
    path = tmp_path / "scores.csv"
    path.write_text(content.format(head=",".join(scores.columns)))
    with pytest.raises(InputError, match=f"scores.csv: {message}"):
        write_scores([path], "fig4", tmp_path / "f.png")
