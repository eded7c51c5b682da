//! Memberships and build results as rows of their tables.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, Int32Builder, Int64Array, Int64Builder, RecordBatch, StringArray,
    StringBuilder, TimestampMicrosecondArray,
};
use arrow::datatypes::SchemaRef;

use crate::error::{Error, Result};
use crate::membership::Membership;
use crate::membership::wire::{self, Format};
use crate::model::{AsOf, BuildId, ShardId, ShardSize};

use super::catalog::State;

/// The part of a membership in one shard, as it is stored.
#[derive(Debug)]
pub(super) struct Part {
    shard: ShardId,
    members: u64,
    /// A portable roaring bitmap.
    bitmap: Vec<u8>,
}

/// The parts of `membership`, one a shard with members.
pub(super) fn parts(membership: &Membership, size: ShardSize) -> Vec<Part> {
    let parts = membership.split(size).into_iter().map(|(shard, part)| Part {
        shard,
        members: part.len(),
        bitmap: wire::encode(&part, Format::Roaring),
    });
    parts.collect()
}

/// Rows of the table `memberships` for one build: one a segment and shard with members. Segments
/// come in the order given, which must be by name: each with its definition and its parts.
pub(super) fn memberships<'a>(
    schema: &SchemaRef,
    build: BuildId,
    as_of: AsOf,
    segments: impl IntoIterator<Item = (&'a str, &'a str, &'a [Part])>,
) -> Result<RecordBatch> {
    let (mut names, mut definitions) = (StringBuilder::new(), StringBuilder::new());
    let (mut shards, mut sizes) = (Int32Builder::new(), Int64Builder::new());
    let mut bitmaps = BinaryBuilder::new();
    let mut rows = 0;
    for (name, definition, parts) in segments {
        for part in parts {
            names.append_value(name);
            definitions.append_value(definition);
            shards.append_value(part.shard.0.cast_signed());
            sizes.append_value(part.members.cast_signed());
            bitmaps.append_value(&part.bitmap);
            rows += 1;
        }
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(names.finish()),
        Arc::new(Int64Array::from(vec![build.0; rows])),
        Arc::new(shards.finish()),
        moments(vec![as_of.micros(); rows]),
        Arc::new(definitions.finish()),
        Arc::new(sizes.finish()),
        Arc::new(bitmaps.finish()),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns)
        .map_err(|e| Error::internal(format!("memberships: {e}")))
}

/// Rows of the table `builds`, one a state; the states must be by name.
pub(super) fn builds(schema: &SchemaRef, states: &[State]) -> Result<RecordBatch> {
    let words = |f: fn(&State) -> Option<&str>| -> ArrayRef {
        Arc::new(states.iter().map(f).collect::<StringArray>())
    };
    let counts = |f: fn(&State) -> Option<u64>| -> ArrayRef {
        let signed = |s: &State| f(s).map(u64::cast_signed);
        Arc::new(states.iter().map(signed).collect::<Int64Array>())
    };
    let membership_builds: Int64Array =
        states.iter().map(|s| s.membership_build.map(|b| b.0)).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(states.iter().map(|s| s.build.0))),
        words(|s| Some(&s.segment)),
        moments(states.iter().map(|s| s.as_of.micros()).collect()),
        words(|s| Some(s.status.as_str())),
        counts(|s| s.members),
        counts(|s| s.entered),
        counts(|s| s.exited),
        counts(|s| Some(s.elapsed_ms)),
        words(|s| Some(&s.definition)),
        Arc::new(membership_builds),
        words(|s| s.inputs.as_deref()),
        counts(|s| Some(s.store_version)),
        words(|s| s.error.as_deref()),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns)
        .map_err(|e| Error::internal(format!("builds: {e}")))
}

fn moments(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}
