"""What the explorer does, without its page."""

import re
import signal
import socket
import sys
from dataclasses import replace
from unittest.mock import Mock

import grain_map_files
import numpy as np
import pytest
from damask_files import PAPER, results

from repro import explore
from repro.damask import dadf5, exchange
from repro.data import dataset
from repro.data.flow_rule import FlowRule
from repro.data.grain_maps import read_grain_map
from repro.data.load import Load
from repro.data.microstructure import generator, polycrystal
from repro.explorer import session as module
from repro.explorer.session import FILE, LOADS, STRETCH, Session


@pytest.fixture
def session():
    session = Session()
    session.draw(grains=4, seed=3, size=16)
    return session


def shown(session):
    """All that a failed change must leave as it is."""
    return session.problem, session.data, session.network, session.mode, session.increment


def test_a_drawn_cell_is_that_of_the_generator(session):
    cell = polycrystal(generator(3), grains=4, size=16)
    np.testing.assert_array_equal(session.data.grain_id[0], cell.grain_id)
    np.testing.assert_array_equal(session.data.properties[0], cell.properties)


def test_a_softer_grain_lowers_the_stress(session):
    before = session.data.sigma_vm[0, -1].mean()
    properties = session.problem.properties.copy()
    properties[:, 2] /= 2
    session.set_properties(properties)
    assert session.data.sigma_vm[0, -1].mean() < 0.8 * before
    assert session.example is None


def test_a_seed_point_moves_across_the_edge_and_one_can_be_left_out(session):
    points = session.problem.points
    session.place(points + np.array([0.5, 0]), range(4))
    moved = np.roll(polycrystal(generator(3), grains=4, size=16).grain_id, 8, axis=0)
    np.testing.assert_array_equal(session.data.grain_id[0], moved)
    properties = session.problem.properties
    session.place(points[[0, 1, 3]], [0, 1, 3])
    np.testing.assert_array_equal(session.data.properties[0], properties[[0, 1, 3]])


def test_the_load_keeps_the_increments_of_the_paper(session):
    session.put_under(STRETCH, -0.002)
    assert session.data.load.same_as(Load.stretch(0.998, 10))
    np.testing.assert_allclose(np.diff(session.data.F11), -2e-4)
    assert session.increment == session.increments[-1] == 10


def test_a_network_is_shown_at_the_increments_that_it_predicts(session, stepper_of_five):
    session.increment = 7
    session.compare(stepper_of_five, "one-step")
    assert session.increments == [5, 10, 15, 20]
    assert session.increment == 20
    assert len(session.read_out()) == 1
    session.predict()
    truth = session.data.sigma_vm[0, 20]
    off = np.abs(session.example.sigma_network[3] - truth)
    assert session.read_out()[1].endswith(
        f"off by {off.mean():.2f} MPa on average, {off.max():.1f} MPa at most"
    )
    assert session.errors()[3] == pytest.approx(off.mean(), rel=1e-5)


def test_an_answer_that_comes_late_is_not_shown(session):
    answer = session.ask()
    session.put_under(STRETCH, 0.002)
    assert not session.accept(answer)
    assert session.example is None


def test_a_cell_of_a_data_set_is_compared_with_its_own_stress(session, data_file, data):
    session.open(data_file, 2)
    session.compare(FILE, "rollout")
    session.predict()
    np.testing.assert_array_equal(session.example.sigma_network, data.sigma_vm[2, 1:])
    assert session.errors().max() < 0.01
    # Once something is changed, the file has nothing to say of it.
    session.set_properties(1.1 * session.problem.properties)
    assert FILE not in session.contenders
    assert session.network == module.NETWORK


def test_a_result_of_damask_is_opened_with_its_stress(session):
    path = results(PAPER)
    session.open(path)
    session.compare(FILE, "rollout")
    session.predict()
    # DAMASK's own tolerance is looser than that of the reference model.
    np.testing.assert_allclose(session.errors(), 0, atol=1)
    np.testing.assert_array_equal(
        session.data.properties[0], dadf5.read(path).setup.paper_properties
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s.draw(grains=1, size=16), "a cell of one grain has the same stress"),
        (lambda s: s.draw(size=4096), r"must lie in 1\.\.\.256, got 4096"),
        (lambda s: s.draw(seed=-1), "the seed must not be negative"),
        (lambda s: s.set_properties([[100, 0.6, 100, 1]] * 4), "nu of grain 0 is 0.6"),
        (lambda s: s.draw(size="16 by 8"), "such as 64 or 96 x 48, got '16 by 8'"),
        (lambda s: s.draw(size=(16, 257)), r"must lie in 1\.\.\.256, got 257"),
        (lambda s: s.put_under(STRETCH, 0), "here and not be 0, got 0"),
        (lambda s: s.put_under(STRETCH, -2), r"strain must lie in -0\.02\.\.\.0\.02 .*, got -2"),
        (lambda s: s.put_under(STRETCH, np.nan), r"strain must lie in .*, got nan"),
        (lambda s: s.put_under(STRETCH, None), "strain must be a number, got None"),
        (lambda s: s.put_under([*LOADS][-1], 0.01), r"strain must lie in -0\.005\.\.\.0\.005"),
        (lambda s: s.upload("map.jpg", b"no image"), r"^map.jpg: cannot be read as .jpg"),
        (lambda s: s.place(s.problem.points[:1], [0]), "a cell of one grain"),
        (lambda s: s.open(__file__), "test_explorer.py: not a readable HDF5 file"),
        (lambda s: s.open("nowhere.h5"), "nowhere.h5: no such file"),
    ],
)
def test_bad_input_ends_in_a_sentence_and_keeps_what_is_shown(session, change, sentence):
    before = shown(session)
    with pytest.raises((OSError, ValueError), match=sentence):
        change(session)
    assert all(old is new for old, new in zip(before, shown(session), strict=True))


def test_a_network_that_does_not_suit_the_load_says_so_in_its_place(session, stepper_of_five):
    session.put_under(STRETCH, 0.0006)
    session.compare(stepper_of_five, "rollout")
    check_refusal(session, "stride 5 does not divide the 3 increments")
    assert session.increments == [1, 2, 3]
    session.put_under(STRETCH, 0.001)
    assert not session.refusal
    session.predict()
    assert session.example is not None


def check_refusal(session, sentence):
    """The reference model is shown, and the network's place says why it is not asked."""
    assert sentence in session.refusal
    session.predict()
    assert session.example is None
    assert session.read_out()[1] == f"{session.network} is not asked: {session.refusal}"
    with pytest.raises(ValueError, match=sentence):
        session.picture()
    exec(session.python(), found := {})
    np.testing.assert_allclose(found["truth"], session.data.sigma_vm[0], atol=1e-3)
    assert "predicted" not in found


@pytest.mark.parametrize("kind", LOADS)
def test_every_load_is_solved(session, kind):
    strain = 0.001 if "cyclic" in kind else 0.004  # 20 increments each
    session.put_under(kind, strain)
    load, data = session.data.load, session.data
    assert load.increments == 20
    np.testing.assert_allclose(load.changes, 2e-4)
    F = load.F if data.F_mean is None else data.F_mean[0]
    assert abs(F - np.eye(3))[:, 0, :2].max() == pytest.approx(strain)
    for i, j in load.free:
        np.testing.assert_allclose(data.P_mean[0, :, i, j], 0, atol=0.01)
    name, at = session.course
    assert (np.diff(at) > 0).all()
    assert name == ("time / s" if "shear" in kind or "cyclic" in kind else "mean stretch F11")
    if load.is_plane_strain_along_x1:
        check_python(session)
    else:
        check_refusal(session, r"networks know loads diag")


def test_a_rectangular_cell_is_solved_kept_and_no_network_asked(session, tmp_path):
    session.draw(grains=4, seed=3, size="16 x 32")
    cell = polycrystal(generator(3), grains=4, size=(16, 32))
    np.testing.assert_array_equal(session.data.grain_id[0], cell.grain_id)
    check_refusal(session, "networks take square cells")
    (tmp_path / "wide.h5").write_bytes(session.hdf5())
    before = session.data
    session.place(session.problem.points + 0.1, range(4))
    assert session.data.grain_id.shape == (1, 16, 32)
    session.open(tmp_path / "wide.h5")
    assert session.network == FILE
    np.testing.assert_array_equal(session.data.sigma_vm, before.sigma_vm)


@pytest.mark.parametrize(
    ("network", "worst", "strain", "sentence"),
    [
        ("learned_correction", 5, 0.0036, "correction knows increments of 0.0002"),
        ("direct_prediction", 20, 0.0082, "stretch at 0.001 1/s up to F11 = 1.008"),
    ],
)
def test_a_surrogate_without_steps_is_close_and_knows_its_load_and_law_alone(
    session, network, worst, strain, sentence
):
    assert network in session.contenders
    session.compare(network, "rollout")
    session.predict()
    assert 0 < session.errors().max() < worst
    has_score = network == "learned_correction"
    lines = session.read_out()
    assert ("score" in lines[-1]) == has_score
    assert session.example.bound is None  # it was calibrated on cells of 64 x 64 pixels
    session.draw(size=64)
    session.predict()
    bound = session.read_out()[-1]
    assert re.search(r"of cells as the paper's, 90 % are off by less than \d\.\d\d MPa", bound)
    check_python(session)
    session.put_under(STRETCH, strain)
    check_refusal(session, sentence)
    session.problem = replace(session.problem, flow_rule=FlowRule(M=1))
    session.set_properties(session.problem.properties)
    check_refusal(session, f"{network} knows the paper's flow rule")


def test_a_cell_that_does_not_suit_a_network_is_shown_without_it(session):
    session.compare("direct_prediction", "rollout")
    session.draw(size=20)
    check_refusal(session, "their edge must be a multiple of 8")


def test_a_grain_map_is_opened_and_uploaded(session, tmp_path, monkeypatch):
    path = grain_map_files.FOLDER / "binary.tesr"
    session.put_under(STRETCH, 0.001)
    session.open(path)
    cell = read_grain_map(path)
    assert session.data.load.increments == 5  # the load stays
    np.testing.assert_array_equal(session.data.grain_id[0], cell.grain_id)
    np.testing.assert_array_equal(session.data.edges, cell.edges)
    check_refusal(session, "networks take square cells")
    shown, properties = session.data.grain_id, session.data.properties
    session.upload(path.name, path.read_bytes())
    np.testing.assert_array_equal(session.data.grain_id, shown)
    np.testing.assert_array_equal(session.data.properties, properties)
    monkeypatch.chdir(grain_map_files.FOLDER)  # the lines name the file as it was sent
    check_refusal(session, "networks take square cells")
    grain_map_files.tesr(tmp_path / "volume.tesr", ids=np.stack([cell.ids, 10 * cell.ids], -1))
    with pytest.raises(ValueError, match="has no layer z=2: they are z=0 to 1"):
        session.open(tmp_path / "volume.tesr", 2)
    session.open(tmp_path / "volume.tesr", 1)
    np.testing.assert_array_equal(session.data.grain_id, shown)


def test_a_data_set_is_uploaded(session, data_file, data):
    session.upload("cells.h5", data_file.read_bytes(), 2)
    np.testing.assert_array_equal(session.data.grain_id[0], data.grain_id[2])
    assert FILE in session.contenders
    with pytest.raises(ValueError, match=r"no cell 6: cells.h5 has 0 to 5"):
        session.upload("cells.h5", data_file.read_bytes(), 6)


def test_files_with_no_such_cell_or_another_law_are_refused(session, data_file, data, tmp_path):
    with pytest.raises(ValueError, match="no cell 6: .* has 0 to 5"):
        session.open(data_file, 6)
    other = tmp_path / "other.h5"
    dataset.write(other, replace(data, attributes={**data.attributes, "dilatation": True}))
    with pytest.raises(ValueError, match="its flow rule or its derivative in space is not"):
        session.open(other)


@pytest.mark.parametrize("mode", ["one-step", "rollout"])
@pytest.mark.parametrize("stride", [1, 5])
def test_the_python_lines_give_the_same_fields(session, stride, mode, stepper_of_five):
    session.place(session.problem.points + 0.1, range(4))
    session.set_properties(1.05 * session.problem.properties)
    session.put_under(STRETCH, 0.003)
    session.compare("paper_unet" if stride == 1 else stepper_of_five, mode)
    check_python(session)


def test_the_python_lines_read_the_file(session, data_file, data, tmp_path):
    kept = [0, 5, 20]
    law = {"n": 10.0, "M": 1.0, "h": 2.0, "solved_time": data.time, "solved_F11": data.F11}
    coarse = replace(
        data,
        time=data.time[kept],
        F11=data.F11[kept],
        sigma_vm=data.sigma_vm[:, kept],
        P_mean=data.P_mean[:, kept],
        attributes=law,
    )
    path = tmp_path / "coarse.h5"
    dataset.write(path, coarse)
    session.open(path, 1)
    assert session.network == FILE  # of other steps and of another law
    check_python(session)


def check_python(session):
    exec(session.python(), found := {})
    session.predict()
    np.testing.assert_allclose(found["truth"], session.data.sigma_vm[0], atol=1e-3)
    np.testing.assert_allclose(found["predicted"], session.example.sigma_network, atol=2e-2)


def test_the_data_set_and_the_picture_that_are_saved(session, tmp_path):
    path = tmp_path / "cell.h5"
    path.write_bytes(session.hdf5())
    saved = exchange.read(path)
    np.testing.assert_array_equal(saved.sigma_vm, session.data.sigma_vm)
    assert saved.solver_options == session.data.solver_options
    assert session.picture().startswith(b"\x89PNG")


def test_without_panel_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "panel", None)
    monkeypatch.delitem(sys.modules, "repro.explorer.page", raising=False)
    monkeypatch.delattr("repro.explorer.page", raising=False)  # of an import before
    with pytest.raises(ValueError, match=r"the explorer needs panel: pip install '\.\[explore\]'"):
        explore.main(browser=False)


def test_only_the_page_itself_and_named_origins_are_answered(monkeypatch):
    pn = pytest.importorskip("panel")
    from tornado.httpclient import HTTPClientError, HTTPRequest
    from tornado.websocket import websocket_connect

    from repro.explorer import page

    on_interrupt = signal.getsignal(signal.SIGINT)  # which Panel replaces
    servers, serve = [], pn.serve
    monkeypatch.setattr(page, "Session", Mock)
    monkeypatch.setattr(
        pn, "serve", lambda *a, **options: servers.append(serve(*a, **options, start=False))
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page.serve(None, port, False, ["localhost:9000"])
    (server,) = servers

    async def is_answered(origin):
        ask = HTTPRequest(f"ws://127.0.0.1:{port}/ws", headers={"Origin": f"http://{origin}"})
        try:
            (await websocket_connect(ask)).close()
        except HTTPClientError as error:
            assert error.code == 403
            return False
        return True

    async def answered():
        origins = f"127.0.0.1:{port}", f"localhost:{port}", "localhost:9000", "localhost:9001"
        return [await is_answered(origin) for origin in origins]

    server.start()
    assert server.io_loop.run_sync(answered) == [True, True, True, False]
    server.stop()
    signal.signal(signal.SIGINT, on_interrupt)


def test_an_origin_is_a_host_and_a_port():
    for wrong in ("http://localhost:9000", "localhost", "*:9000", "localhost:"):
        with pytest.raises(ValueError, match="--allow-origin takes HOST:PORT, such as .*9000: "):
            explore.main(allow_origin=("localhost:9000", wrong))
