//! The picture: IOPS over queue depth, and throughput over block size, beside the limit.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::contender::Contender;
use super::grid::{Backend, Digests, Op, Point, Seat};
use super::rounds::Outcome;

const SIZE: (u32, u32) = (1200, 480);
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 90, 180), RGBColor(220, 110, 0), RGBColor(180, 40, 40), RGBColor(130, 130, 130)];

type Panel<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// A contender's line.
type Line = (Contender, Vec<(f64, f64)>);

/// The picture as SVG.
pub fn picture(outcomes: &[Outcome]) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (left, right) = root.split_horizontally(SIZE.0 / 2);
        let shallow = lines(outcomes, |point| (point.block == 4096).then_some(point.depth), |_, iops| iops / 1e3);
        panel(&left, "random reads of 4 KiB: thousand commands per second over queue depth", &shallow)?;
        let rate = |point: &Point, iops| iops * f64::from(point.block) / 1e9;
        let large = lines(outcomes, |point| (point.depth == 8).then_some(point.block >> 10), rate);
        panel(&right, "random reads at depth 8: GB/s over KiB per command", &large)?;
        root.present()?;
    }
    Ok(svg)
}

/// The lines of plain reads: `x` of each load that belongs to the picture, and `y` of its median rate.
fn lines(outcomes: &[Outcome], x: impl Fn(&Point) -> Option<u32>, y: impl Fn(&Point, f64) -> f64) -> Vec<Line> {
    let plain = |point: &Point| {
        (point.op, point.digests, point.sessions, point.backend, point.seat)
            == (Op::Read, Digests::None, 1, Backend::Null, Seat::Free)
    };
    let line = |contender| {
        let mut line: Vec<(f64, f64)> = outcomes
            .iter()
            .filter(|outcome| plain(&outcome.point))
            .filter_map(|outcome| {
                let rate = outcome.median(contender, |sample| sample.iops)?;
                Some((f64::from(x(&outcome.point)?), y(&outcome.point, rate)))
            })
            .collect();
        line.sort_by(|one, other| one.0.total_cmp(&other.0));
        (contender, line)
    };
    Contender::ALL.into_iter().map(line).filter(|(_, line)| !line.is_empty()).collect()
}

fn panel(area: &Panel<'_>, title: &str, lines: &[Line]) -> Result<(), Box<dyn Error>> {
    let points = || lines.iter().flat_map(|(_, line)| line);
    let top = points().map(|(_, y)| *y).fold(0.0, f64::max) * 1.1;
    let (low, high) = points().fold((f64::MAX, 0.0), |(low, high), (x, _)| (f64::min(low, *x), f64::max(high, *x)));
    if high <= low {
        return Ok(());
    }
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(56)
        .build_cartesian_2d((low..high).log_scale(), 0.0..top)?;
    chart.configure_mesh().light_line_style(TRANSPARENT).x_label_formatter(&|x| format!("{x:.0}")).draw()?;
    for (contender, line) in lines {
        let index = Contender::ALL.iter().position(|other| other == contender).unwrap_or_default();
        let colour = COLOURS.get(index).copied().unwrap_or(BLACK);
        let marks = line.iter().map(|point| Circle::new(*point, 3, colour.filled()));
        chart.draw_series(marks)?;
        chart
            .draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(2)))?
            .label(contender.to_string())
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(BLACK.mix(0.2))
        .background_style(WHITE)
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Sample;
    use super::*;

    #[test]
    fn the_picture_has_a_line_for_everyone_who_was_measured() {
        let outcome = |block, depth, iops| {
            let sample = vec![Sample { iops, cpu: 1.0, target_cpu: 1.0, p50: None }];
            let samples = [(0, sample.clone()), (3, sample)];
            Outcome { point: Point::new(Op::Read, block, depth), samples: samples.into() }
        };
        let outcomes = [outcome(4096, 1, 1e4), outcome(4096, 8, 1e5), outcome(1 << 20, 8, 1e3)];
        let svg = picture(&outcomes).unwrap();
        assert!(svg.starts_with("<svg"), "{svg}");
        for name in ["riscsiadm perf", "raw exchange"] {
            assert_eq!(svg.matches(name).count(), 2, "{name}");
        }
        assert!(!svg.contains("iscsi-perf"));
    }

    #[test]
    fn a_picture_of_nothing_is_empty_and_no_error() {
        assert!(picture(&[]).is_ok());
    }
}
