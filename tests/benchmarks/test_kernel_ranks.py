"""The record of learnt ranks, and the page that shows it."""

import json

from circpeft import results

RECORD = results.ROOT / "benchmarks" / "results" / "kernel_ranks.json"


def test_the_page_shows_the_record():
    page = (results.ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = json.loads(RECORD.read_text(encoding="utf-8"))
    assert [row["label"] for row in rows] == ["c3a", "c3a:block_size=32", "cdvft"]
    for row in rows:
        assert row["test_score"] > row["start_score"] + 0.3  # the kernels have learnt something
        [found] = row["kernel_ranks"].values()
        assert found["full"] == found["kernels"] == found["random"]["full"] == sum(found["ranks"].values())
        numbers = [str(found["kernels"]), str(found["full"]), str(found["random"]["full"])]
        numbers += [f"{part['stable_rank']:.1f}" for part in (found, found["random"])]
        assert f"| `{row['label']}` | {' | '.join(numbers)} |" in page
