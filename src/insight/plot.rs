//! Pictures of an insight, as SVG text: a heat map of an overlap, an `UpSet` plot of a reach
//! (Lex et al. 2014), bars of a composition. The same data makes the same picture.

use plotters::coord::Shift;
use plotters::element::{Drawable, PointCollection};
use plotters::prelude::{
    Circle, Color as _, DrawingArea, IntoDrawingArea as _, IntoFont as _, PathElement, RGBColor,
    Rectangle, SVGBackend, Text, WHITE,
};
use plotters::style::TextStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::composition::{Attribute, Composition};
use super::overlap::Overlap;
use super::reach::{Reach, Region};
use crate::error::{Error, Result};

/// Ink, grey and the one colour.
const INK: RGBColor = RGBColor(40, 44, 52);
const GREY: RGBColor = RGBColor(205, 209, 216);
const BLUE: RGBColor = RGBColor(31, 111, 180);

/// Pixels between a picture's parts.
const GAP: i32 = 12;
/// Pixels of a line of text.
const LINE: i32 = 20;
/// Pixels that a character of a label takes, about.
const CHARACTER: i32 = 8;
/// Cells of a heat map with more sides than this have no numbers in them.
const NUMBERED_SIDES_MAX: usize = 30;
/// Groups of an `UpSet` plot.
const REGIONS_MAX: usize = 30;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The overlap as a heat map of the Jaccard index.
///
/// # Errors
/// Where the picture cannot be drawn.
pub fn heat_map(overlap: &Overlap) -> Result<String> {
    let sides = overlap.segments.len();
    let cell = if sides > NUMBERED_SIDES_MAX { 14 } else { 44 };
    let labels = labels_width(overlap.segments.iter().map(String::as_str));
    let side = pixels(sides) * cell;
    let head = LINE * 2 + GAP;
    picture((labels + side + 2 * GAP, head + side + labels + GAP), |area| {
        let title = format!("Jaccard index of {sides} segments within {}", overlap.base);
        text(area, &title, (GAP, GAP), 16, Anchor::Start)?;
        for (row, name) in overlap.segments.iter().enumerate() {
            let y = head + pixels(row) * cell;
            let middle = cell / 2;
            text(area, name, (labels, y + middle), 12, Anchor::End)?;
            let x = labels + GAP + pixels(row) * cell + middle;
            upright(area, name, (x, head + side + 6))?;
            for (column, jaccard) in overlap.jaccard[row].iter().enumerate() {
                let x = labels + GAP + pixels(column) * cell;
                let corners = [(x, y), (x + cell - 1, y + cell - 1)];
                draw(area, &Rectangle::new(corners, shade(*jaccard).filled()))?;
                if sides <= NUMBERED_SIDES_MAX {
                    let colour = if *jaccard > 0.55 { WHITE } else { INK };
                    let at = (x + middle, y + middle);
                    coloured(area, &format!("{jaccard:.2}"), at, colour)?;
                }
            }
        }
        Ok(())
    })
}

/// The reach as an `UpSet` plot: the largest groups as bars, and below each the segments it is in.
///
/// # Errors
/// Where there are too many segments for groups, or the picture cannot be drawn.
pub fn upset(reach: &Reach) -> Result<String> {
    if reach.regions.is_empty() && !reach.steps.is_empty() && reach.reach > 0 {
        return Err(Error::input(format!(
            "{} segments are too many for an UpSet plot, which shows up to {}",
            reach.steps.len(),
            super::reach::REGION_SEGMENTS_MAX
        ))
        .with_hint("name fewer segments, or leave --plot out"));
    }
    let shown: Vec<&Region> = reach.regions.iter().take(REGIONS_MAX).collect();
    let labels = labels_width(reach.steps.iter().map(|s| s.segment.as_str()));
    let (bars, step) = (220, 34);
    let top = LINE * 2 + GAP;
    let height = top + bars + GAP + pixels(reach.steps.len()) * LINE + GAP;
    let width = (labels + GAP * 3 + pixels(shown.len()) * step).max(420);
    picture((width, height), |area| {
        let title = format!("{} profiles in {} segments", reach.reach, reach.steps.len());
        text(area, &title, (GAP, GAP), 16, Anchor::Start)?;
        let most = shown.first().map_or(1, |region| region.members);
        for (row, at) in reach.steps.iter().enumerate() {
            let y = top + bars + GAP + pixels(row) * LINE + LINE / 2;
            text(area, &at.segment, (labels, y), 12, Anchor::End)?;
        }
        for (column, region) in shown.iter().enumerate() {
            let x = labels + GAP * 2 + pixels(column) * step;
            let bar = scaled(region.members, most, bars - LINE);
            let corners = [(x, top + bars - bar), (x + step - 12, top + bars)];
            draw(area, &Rectangle::new(corners, BLUE.filled()))?;
            let middle = x + (step - 12) / 2;
            let label = short(region.members);
            text(area, &label, (middle, top + bars - bar - 8), 10, Anchor::Middle)?;
            dots(area, reach, region, middle, top + bars + GAP)?;
        }
        Ok(())
    })
}

/// The column of dots below a group's bar.
fn dots(area: &Area<'_>, reach: &Reach, region: &Region, x: i32, top: i32) -> Result<()> {
    let mut ends: Option<(i32, i32)> = None;
    for (row, step) in reach.steps.iter().enumerate() {
        let y = top + pixels(row) * LINE + LINE / 2;
        let is_in = region.segments.contains(&step.segment);
        let colour = if is_in { INK } else { GREY };
        draw(area, &Circle::new((x, y), 5, colour.filled()))?;
        if is_in {
            ends = Some(ends.map_or((y, y), |(first, _)| (first, y)));
        }
    }
    match ends {
        Some((first, last)) => draw(area, &PathElement::new([(x, first), (x, last)], INK)),
        None => Ok(()),
    }
}

/// The composition as bars: of each value the share of members, and behind it that of the base.
///
/// # Errors
/// Where the picture cannot be drawn.
pub fn bars(composition: &Composition) -> Result<String> {
    let shown: Vec<&Attribute> =
        composition.attributes.iter().filter(|a| !a.values.is_empty()).collect();
    let rows: usize = shown.iter().map(|a| a.values.len() + 2).sum();
    let name = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    let names: Vec<String> = shown.iter().flat_map(|a| &a.values).map(|v| name(&v.value)).collect();
    let labels = labels_width(names.iter().map(String::as_str));
    let length = 420;
    picture((labels + length + 120, LINE * (pixels(rows) + 3)), |area| {
        let title = format!(
            "{}: {} members (blue) against {} (grey)",
            composition.segment, composition.members, composition.base
        );
        text(area, &title, (GAP, GAP), 16, Anchor::Start)?;
        let mut y = LINE * 2;
        for attribute in &shown {
            text(area, &attribute.attribute, (GAP, y + LINE / 2), 14, Anchor::Start)?;
            y += LINE;
            for value in &attribute.values {
                text(area, &name(&value.value), (labels, y + LINE / 2), 12, Anchor::End)?;
                let x = labels + GAP;
                for (share, colour, inset) in [(value.base_share, GREY, 1), (value.share, BLUE, 5)]
                {
                    let corners =
                        [(x, y + inset), (x + part_of(share, length), y + LINE - 2 - inset)];
                    draw(area, &Rectangle::new(corners, colour.filled()))?;
                }
                let index = value.index.map_or(String::new(), |i| format!(" (index {i:.0})"));
                let label = format!("{:.1} %{index}", 100.0 * value.share);
                let end = x + part_of(value.share.max(value.base_share), length) + 6;
                text(area, &label, (end, y + LINE / 2), 11, Anchor::Start)?;
                y += LINE;
            }
            y += LINE;
        }
        Ok(())
    })
}

/// A white picture of `size`, drawn by `paint`.
fn picture(size: (i32, i32), paint: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    {
        let side = |pixels: i32| u32::try_from(pixels.max(1)).unwrap_or(1);
        let size = (side(size.0), side(size.1));
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(|e| failed(&e))?;
        paint(&area)?;
        area.present().map_err(|e| failed(&e))?;
    }
    Ok(svg)
}

/// Where a text is anchored.
#[derive(Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

fn text(area: &Area<'_>, words: &str, at: (i32, i32), size: i32, anchor: Anchor) -> Result<()> {
    let across = match anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    };
    let style: TextStyle<'_> = ("sans-serif", size).into_font().color(&INK);
    draw(area, &Text::new(words, at, style.pos(Pos::new(across, VPos::Center))))
}

fn coloured(area: &Area<'_>, words: &str, at: (i32, i32), colour: RGBColor) -> Result<()> {
    let style: TextStyle<'_> = ("sans-serif", 11).into_font().color(&colour);
    draw(area, &Text::new(words, at, style.pos(Pos::new(HPos::Center, VPos::Center))))
}

/// A label below a column, read from top to bottom.
fn upright(area: &Area<'_>, words: &str, at: (i32, i32)) -> Result<()> {
    let font = ("sans-serif", 12).into_font().transform(plotters::style::FontTransform::Rotate90);
    let style: TextStyle<'_> = font.color(&INK);
    draw(area, &Text::new(words, at, style.pos(Pos::new(HPos::Left, VPos::Center))))
}

fn draw<'d, 'e, E>(area: &Area<'d>, element: &'e E) -> Result<()>
where
    &'e E: PointCollection<'e, (i32, i32)>,
    E: Drawable<SVGBackend<'d>>,
{
    area.draw(element).map_err(|e| failed(&e))
}

fn failed(cause: &dyn std::error::Error) -> Error {
    Error::internal(format!("a picture cannot be drawn: {cause}"))
}

/// White for nothing in common, the colour for the same set.
fn shade(share: f64) -> RGBColor {
    let mix = |from: u8, to: u8| {
        let value =
            f64::from(from) + (f64::from(to) - f64::from(from)) * share.clamp(0.0, 1.0).sqrt();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
        let value = value.round() as u8;
        value
    };
    RGBColor(mix(245, BLUE.0), mix(247, BLUE.1), mix(250, BLUE.2))
}

fn labels_width<'a>(labels: impl Iterator<Item = &'a str>) -> i32 {
    let longest = labels.map(|label| label.chars().count()).max().unwrap_or(0);
    GAP + pixels(longest) * CHARACTER
}

fn pixels(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX / 1_024)
}

#[expect(clippy::cast_possible_truncation, reason = "a part of a few hundred pixels")]
fn part_of(share: f64, length: i32) -> i32 {
    (share.clamp(0.0, 1.0) * f64::from(length)).round() as i32
}

fn scaled(part: u64, whole: u64, length: i32) -> i32 {
    part_of(super::share(part, whole), length)
}

/// A count in few characters: `950`, `12k`, `3.4M`.
#[expect(clippy::cast_precision_loss, reason = "a label")]
fn short(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..999_500 => format!("{}k", (count + 500) / 1_000),
        _ => format!("{:.1}M", count as f64 / 1e6),
    }
}
