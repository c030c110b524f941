"""classify_parquet(): a Parquet file in, one with labels and scores out, row group by row group."""
import os

from ._pipeline import _LEAVE, Pipeline, pipeline
from ._progress import Bar


def classify_parquet(source, target, text="text", *, pair=None, keep=None, top_k=_LEAVE, model=None, progress=None, **options):
    """Writes the rows of `source` with the columns `label` and `score`, with top_k also `scores`, beside them to `target`.

    source, target: paths; text, pair: names of columns; keep: names of the columns that go along, all by default. top_k: so many labels a row in
    `scores`, None = all, as Pipeline.arrow() has it. model: a Pipeline, or what pipeline() takes, with its options. progress: a bar on stderr; None = where that is a terminal. A row without text gets nulls.
    `target` appears when it is whole. Needs pyarrow (breakeven[arrow]).
    -> number of rows.
    """
    import pyarrow
    import pyarrow.parquet

    def tables(file, columns):
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=columns)
        if file.num_row_groups == 0:
            yield file.schema_arrow.empty_table().select(columns)

    clf = model if isinstance(model, Pipeline) else pipeline(model=model, **options)
    with pyarrow.parquet.ParquetFile(source) as file:
        known = file.schema_arrow.names
        kept = known if keep is None else list(keep)
        for name in [text, *([pair] if pair else []), *kept]:
            if name not in known:
                raise KeyError(f"{os.fspath(source)} has no column {name!r}: {', '.join(known)}")
        added = ["label", "score"] + ([] if top_k is _LEAVE else ["scores"])
        for name in added:
            if name in kept:
                raise ValueError(f"{os.fspath(source)} has a column {name!r} already: leave it out with keep=")
        unfinished = f"{os.fspath(target)}.{os.getpid()}.unfinished"
        writer, rows, bar = None, 0, Bar(os.path.basename(os.fspath(source)), file.metadata.num_rows, progress)
        try:
            for table in tables(file, list(dict.fromkeys([*kept, text, *([pair] if pair else [])]))):
                labels, out = pyarrow.table(clf.arrow(table[text], table[pair] if pair else None, top_k=top_k)), table.select(kept)
                for name in added:
                    out = out.append_column(name, labels[name])
                writer = writer or pyarrow.parquet.ParquetWriter(unfinished, out.schema)
                writer.write_table(out)
                rows += out.num_rows
                bar.add(out.num_rows)
            writer.close()
            os.replace(unfinished, target)
        finally:
            bar.close()
            if os.path.exists(unfinished):
                if writer is not None:
                    writer.close()
                os.remove(unfinished)
    return rows
