"""What is told of the layers of the repaired network."""

from dataclasses import replace

from qdiag.core.diagnosis import Diagnosis, RepairedNetwork
from qdiag.core.measures.records import LayerErrorSums
from qdiag.reading.diagnosis import read
from qdiag.reading.layers.repaired import repaired_words, table_words
from qdiag.reading.statements.diagnosis import diagnosis_statements
from tests.diagnoses import diagnosis, healthy_diagnosis


def with_network(found: Diagnosis, network: RepairedNetwork | None, **ranking: object) -> Diagnosis:
    return replace(found, repaired_network=network, ranking=replace(found.ranking, **ranking))


def network() -> RepairedNetwork:
    found = diagnosis().repaired_network
    assert found is not None
    return found


def test_the_weakest_layers_are_told_before_and_after() -> None:
    words = repaired_words(diagnosis())
    weakest = min(diagnosis().measurement.records, key=lambda record: record.local.sqnr_db)
    [after] = [record for record in network().records if record.name == weakest.name]
    start = "After these repairs, on 32 of 500 samples, the local SQNR changes from"
    assert words.startswith(f"{start} {weakest.local.sqnr_db:.1f} to {after.local.sqnr_db:.1f} dB at {weakest.name}, ")
    last = min(network().records, key=lambda record: record.local.sqnr_db)
    assert words.endswith(f"The lowest local SQNR is then {last.local.sqnr_db:.1f} dB, at {last.name}.")


def test_nothing_is_told_where_nothing_was_repaired_or_nothing_changed() -> None:
    assert repaired_words(healthy_diagnosis()) == ""
    same = RepairedNetwork(32, diagnosis().measurement.records)
    assert repaired_words(with_network(diagnosis(), same)) == ""


def test_all_samples_are_not_mentioned() -> None:
    whole = replace(network(), sample_count=diagnosis().measurement.data.measured_count)
    assert repaired_words(with_network(diagnosis(), whole)).startswith("After these repairs, the local SQNR changes")


def test_a_change_of_scheme_is_told_with_the_change() -> None:
    """It stands in place of the sequence where no repair within the scheme helps."""
    changed = replace(network(), settings=("weights.granularity=per_channel",))
    found = with_network(diagnosis(), changed, waterfall=())
    reading = read(found)
    assert reading.repaired_layers == ""
    told = [row for row in reading.changes if row.repaired_layers]
    assert [row.tried.trial for row in told] == [found.ranking.way_around]
    assert told[0].repaired_layers.startswith(f"With {told[0].title} ({told[0].tried.where}), on 32 of 500 samples")


def test_the_sentence_has_its_proof() -> None:
    [said] = [one for one in diagnosis_statements(diagnosis()) if one.id == "repaired-layers"]
    assert said.proofs == ("/repaired_network",)


def test_layers_with_few_values_are_said_to_be_of_all_samples() -> None:
    """There local figures are those of all samples before and after, as the sentence and the tables say."""
    first, *others = network().records
    of_few = LayerErrorSums(first.local, first.propagated)
    found = replace(network(), records=(replace(first, on_fewer=of_few), *others))
    assert repaired_words(with_network(diagnosis(), found)).startswith(
        "After these repairs, on 32 of 500 samples (1 layer with few values on all), the local SQNR changes from"
    )


def test_tables_say_on_how_many_samples_layers_were_measured() -> None:
    before = diagnosis()
    assert "Measured" not in table_words(before) and "network, on 32 of 500 samples." in table_words(before)
    some = replace(before, measurement=replace(before.measurement, layer_sample_count=32))
    assert table_words(some).endswith("of the layer in the repaired network. Measured on 32 of 500 samples.")
    assert table_words(with_network(some, None)).endswith("alone would give. Measured on 32 of 500 samples.")
    whole = with_network(some, replace(network(), sample_count=500))
    assert table_words(whole).endswith("in the repaired network, on all samples. Measured on 32 of 500 samples.")
