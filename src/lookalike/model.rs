//! The model file: all that scoring needs, as JSON, so that the same profile gets the same score later
//! and elsewhere.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::blend::Blend;
use super::curve::Curve;
use super::encode::{Encoder, Kind};
use super::fold::{FoldModel, PART_NAMES, PARTS, fold_of};
use super::layout::has_runs;
use super::lift::Steps;
use super::report::Metrics;
use super::sparse::Projection;
use super::standing::Standing;

/// The version of the file's layout.
const FORMAT: u32 = 1;

/// The largest model file that is read.
const BYTES_MAX: u64 = 1 << 30;

/// Where a model comes from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// The seed.
    pub seed: String,
    /// Profiles in it.
    pub seeds: u64,
    /// What `now()` was, RFC 3339.
    pub as_of: String,
    /// The store's version.
    pub store_version: u64,
    /// The queries that its features are from; none where they are the default recipe's.
    pub features: Vec<String>,
    /// Segments that were known not to belong.
    pub negatives: Vec<String>,
    /// Rows that were learnt from.
    pub sample_rows: u64,
    /// What each of the blended models counts.
    pub weights: Vec<(String, f64)>,
    /// What the audience was asked for, where one was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
}

/// A model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Model {
    format: u32,
    engine: String,
    /// Where it comes from.
    pub lineage: Lineage,
    /// How good it is, on seeds that it never saw.
    pub metrics: Metrics,
    pub(crate) encoder: Encoder,
    pub(crate) projection: Option<Projection>,
    pub(crate) folds: Vec<FoldModel>,
    pub(crate) blend: Blend,
    pub(crate) curve: Curve,
    pub(crate) steps: Steps,
}

impl Model {
    #[expect(clippy::too_many_arguments, reason = "the parts of a model")]
    pub(crate) fn new(
        mut lineage: Lineage,
        metrics: Metrics,
        encoder: Encoder,
        projection: Option<Projection>,
        folds: Vec<FoldModel>,
        blend: Blend,
        curve: Curve,
        steps: Steps,
    ) -> Self {
        let weights = PART_NAMES.iter().zip(blend.weights);
        lineage.weights =
            weights.map(|(name, weight)| ((*name).to_owned(), f64::from(weight))).collect();
        Self {
            format: FORMAT,
            engine: concat!("throng/", env!("CARGO_PKG_VERSION")).to_owned(),
            lineage,
            metrics,
            encoder,
            projection,
            folds,
            blend,
            curve,
            steps,
        }
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// Never for a model that was learnt here.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::internal(format!("a model: {e}")))
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// Where it cannot be read, is no model, or has a newer format.
    pub fn read(path: &Path) -> Result<Self> {
        let size = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?.len();
        if size > BYTES_MAX {
            return Err(Error::limit(format!(
                "a model file may have {BYTES_MAX} bytes, not {size}"
            ))
            .at(path, None, None));
        }
        let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
        Self::from_bytes(&bytes).map_err(|e| e.at(path, None, None))
    }

    /// Reads the bytes of a model file.
    ///
    /// # Errors
    /// Where they are no model, or one with a newer format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let no_model = |e: serde_json::Error| {
            Error::data(format!("this is no look-alike model: {e}"))
                .with_hint("a model file is what `throng lookalike SEED --save-model FILE` writes")
        };
        let head: Head = serde_json::from_slice(bytes).map_err(no_model)?;
        if head.format > FORMAT {
            return Err(Error::data(format!(
                "the model has format {}, and this Throng knows formats up to {FORMAT}",
                head.format
            ))
            .with_hint("score it with the Throng that made it, or a newer one"));
        }
        let model: Self = serde_json::from_slice(bytes).map_err(no_model)?;
        model.checked()
    }

    /// A file that was cut or edited must not make a row look beyond a table.
    fn checked(self) -> Result<Self> {
        let width = self.encoder.features.len();
        let bins: Vec<usize> =
            self.encoder.features.iter().map(super::encode::Feature::bins).collect();
        let fold_fits = |fold: &FoldModel| {
            let feature_fits = |feature: u16| usize::from(feature) < width;
            let additive = fold.additive.slopes.len() == width
                && fold.additive.tables.len() == width
                && fold.additive.tables.iter().zip(&bins).all(|(t, bins)| t.len() == *bins);
            let reorder = fold.reorder.0.len() == width
                && fold
                    .reorder
                    .0
                    .iter()
                    .zip(&bins)
                    .all(|(r, bins)| r.as_ref().is_none_or(|r| r.len() == *bins));
            let boosted = fold.boosted.iter().all(|tree| {
                tree.levels.len() <= super::tree::DEPTH_MAX
                    && tree.leaves.len() == 1 << tree.levels.len()
                    && tree.levels.iter().all(|(f, _)| feature_fits(*f))
            });
            let bagged = fold.bagged.iter().all(|tree| {
                tree.values.len() == tree.nodes.len()
                    && tree.nodes.iter().all(|node| {
                        let last = node.child as usize + usize::from(node.last < 255);
                        last < tree.nodes.len() && feature_fits(node.feature)
                    })
            });
            additive && reorder && boosted && bagged
        };
        let numbers_fit = self.encoder.features.iter().all(|feature| match &feature.kind {
            Kind::Number { edges, normal, .. } => {
                edges.len() < 254 && normal.len() == edges.len() + 2
            }
            Kind::Word { labels } => labels.len() <= super::encode::WORD_BINS,
        });
        if !has_runs(self.fold_count()) || !numbers_fit || !self.folds.iter().all(fold_fits) {
            return Err(Error::data("the model's parts do not fit each other")
                .with_hint("the file was changed or cut; make it anew"));
        }
        Ok(self)
    }

    /// Folds.
    pub(crate) fn fold_count(&self) -> u32 {
        self.folds.len() as u32
    }

    /// The margin-like score of one row.
    pub(crate) fn score_one(
        &self,
        id: u32,
        bin: impl Fn(usize) -> u8 + Copy,
        number: impl Fn(usize) -> f32,
    ) -> f32 {
        let fold = &self.folds[fold_of(id, self.fold_count())];
        let margins: [f32; PARTS] = fold.score_one(bin, number);
        self.blend.score(margins)
    }
}
