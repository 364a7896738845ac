//! Plots of a section. Latency is on a logarithmic axis, the same for all of a section's plots.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::ReportError;
use super::axis::Axis;
use super::palette::{self, BAD, FAINT_INK, GRID, INK, OUTAGE, PAPER};
use super::section::{OURS, Plot, Row, Section};
use crate::run::Trace;

/// Pixels of a plot; the page scales it.
const WIDTH: u32 = 960;
const DISTRIBUTION_HEIGHT: u32 = 400;
const TIME_HEIGHT: u32 = 200;
const BAR_HEIGHT: u32 = 34;
const BARS_FRAME: u32 = 44;
/// The label areas' and the margin's.
const LABELS_LEFT: u32 = 110;
const LABELS_BELOW: u32 = 34;
const MARGIN: u32 = 10;
/// Names of systems beside a plot.
const LEGEND_WIDTH: u32 = 150;
const LEGEND_MARGIN: i32 = 8;
const LEGEND_LINE: i32 = 22;
const FONT: &str = "sans-serif";
const FONT_SIZE: u32 = 14;
/// How many columns the samples over time are gathered in.
const COLUMNS: usize = 420;
/// Points of a line of the distribution.
const STEPS: u32 = 400;
/// Older samples are late.
const LATE_MS: f64 = 1000.0;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

/// Draws all of a section.
pub(super) fn illustrate(mut section: Section<'_>) -> Result<Section<'_>, ReportError> {
    let name: String = section.scenario.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let seed = section.rows.first().map_or(0, |row| row.result.seed);
    let scale = latency_axis(&section.rows);
    let plot = |what: &str, title: String, caption, svg| Plot {
        file: format!("{name}-seed{seed}-{what}.svg"),
        title,
        caption,
        svg,
    };
    let mut plots = vec![plot(
        "distribution",
        "Latency, distribution".to_owned(),
        "The share of all samples that had arrived after a time. The upper part is stretched: each step is ten times \
         fewer samples. Where a line ends, the rest was lost.",
        distribution(&section.rows, &scale)?,
    )];
    for (row, number) in section.rows.iter().zip(0..) {
        plots.push(plot(
            &format!("latency-{}", row.system),
            format!("Latency over time: {}", row.system),
            if number == 0 {
                "By the time at which samples were handed over. Marks at the top are samples that never arrived, shaded \
                 is when the link was down, the red line is one second."
            } else {
                ""
            },
            over_time(&row.result.trace, number, &scale)?,
        ));
    }
    plots.push(plot(
        "bytes",
        "Bytes a sample".to_owned(),
        "To the ground, and below it, paler, to the vehicle, all headers counted.",
        bytes(&section.rows)?,
    ));
    section.plots = plots;
    Ok(section)
}

/// The axis of latency, in the logarithm of milliseconds.
fn latency_axis(rows: &[Row<'_>]) -> Axis {
    let all = rows.iter().flat_map(|row| &row.result.trace.samples).filter_map(|s| s.latency_ms);
    let (low, high) = all.fold((f64::MAX, 0f64), |(low, high), ms| (low.min(ms), high.max(ms)));
    let low = if low > high { 100.0 } else { low.max(1.0) }.log10() - 0.05;
    let high = high.max(2.0 * LATE_MS).log10() + 0.05;
    let digits: &[f64] =
        if high - low < 1.3 { &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0] } else { &[1.0, 2.0, 5.0] };
    let steps = (0..9).flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power)));
    let ticks = steps.map(|ms| (ms.log10(), duration(ms)));
    Axis { low, high, ticks: ticks.filter(|(at, _)| (low..=high).contains(at)).collect() }
}

fn duration(ms: f64) -> String {
    if ms < 1000.0 { format!("{ms:.0} ms") } else { format!("{} s", ms / 1000.0) }
}

fn distribution(rows: &[Row<'_>], scale: &Axis) -> Result<String, ReportError> {
    let samples = rows.iter().map(|row| row.result.trace.samples.len()).max().unwrap_or(0);
    // As many nines as there are samples for.
    let top = (samples.max(1) as f64).log10().clamp(1.0, 4.0);
    let ticks = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"];
    let mut ticks: Vec<_> = (0..).map(f64::from).zip(ticks.map(str::to_owned)).collect();
    ticks.push((nines(0.5), "50 %".to_owned()));
    ticks.retain(|&(at, _)| at <= top);
    let shares = Axis { low: 0.0, high: top, ticks };
    draw(DISTRIBUTION_HEIGHT, |area| {
        let (area, names) = area.split_horizontally(WIDTH - LEGEND_WIDTH);
        let mut chart = chart(&area, scale.clone(), shares)?;
        // Ours last, above the others.
        for (number, row) in rows.iter().enumerate().rev() {
            let mut latencies: Vec<f64> =
                row.result.trace.samples.iter().filter_map(|sample| sample.latency_ms).collect();
            latencies.sort_by(f64::total_cmp);
            let count = row.result.trace.samples.len() as f64;
            let points = (0..=STEPS).map_while(|step| {
                let at = f64::from(step) / f64::from(STEPS) * top;
                let share = 1.0 - 10f64.powf(-at);
                Some((latencies.get((share * count) as usize)?.max(1.0).log10(), at))
            });
            let width = if row.system == OURS { 4 } else { 2 };
            let style = palette::system(number).light.stroke_width(width);
            chart.draw_series(LineSeries::new(points, style)).map_err(text)?;
        }
        legend(&names, rows)
    })
}

/// One name below the other.
fn legend(area: &Area<'_>, rows: &[Row<'_>]) -> Result<(), ReportError> {
    let font = (FONT, FONT_SIZE).into_font().color(&INK.light);
    for (row, number) in rows.iter().zip(0..) {
        let y = MARGIN as i32 + LEGEND_LINE * number as i32;
        let mark = [(LEGEND_MARGIN, y + 5), (LEGEND_MARGIN + 18, y + 9)];
        area.draw(&Rectangle::new(mark, palette::system(number).light.filled())).map_err(text)?;
        area.draw(&Text::new(row.system.to_owned(), (LEGEND_MARGIN + 26, y), font.clone())).map_err(text)?;
    }
    Ok(())
}

/// How many nines a share has: 0.99 has 2.
fn nines(share: f64) -> f64 {
    -(1.0 - share).log10()
}

fn over_time(trace: &Trace, system: usize, scale: &Axis) -> Result<String, ReportError> {
    let end = trace.samples.last().map_or(1.0, |sample| sample.sent_s).max(1.0);
    let steps = [1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0, 36_000.0];
    let times = Axis::linear(end, &steps, |seconds| format!("{seconds:.0} s"));
    let column = end / COLUMNS as f64;
    draw(TIME_HEIGHT, |area| {
        let mut chart = chart(area, times, scale.clone())?;
        let outages = trace.outages.iter().map(|&(down, up)| {
            Rectangle::new([(down, scale.low), (up.min(end), scale.high)], OUTAGE.light.filled())
        });
        chart.draw_series(outages).map_err(text)?;
        let late = [(0.0, LATE_MS.log10()), (end, LATE_MS.log10())];
        chart.draw_series([PathElement::new(late, BAD.light.stroke_width(1))]).map_err(text)?;
        let color = palette::system(system).light;
        let columns = columns(trace, column);
        let bars = columns.iter().filter_map(|seen| {
            let (low, high) = seen.latency?;
            // A single sample is still seen.
            let corners = [(seen.at, low - 0.008), (seen.at + column, high + 0.008)];
            Some(Rectangle::new(corners, color.filled()))
        });
        chart.draw_series(bars).map_err(text)?;
        let mark = scale.high - (scale.high - scale.low) * 0.06;
        let lost = columns.iter().filter(|seen| seen.has_lost);
        let lost = lost.map(|seen| {
            Rectangle::new([(seen.at, mark), (seen.at + column, scale.high)], BAD.light.filled())
        });
        chart.draw_series(lost).map_err(text)?;
        Ok(())
    })
}

/// The samples of a span of time.
struct Column {
    at: f64,
    /// The least and the greatest, logarithms.
    latency: Option<(f64, f64)>,
    has_lost: bool,
}

fn columns(trace: &Trace, width: f64) -> Vec<Column> {
    let mut columns: Vec<Column> = (0..=COLUMNS)
        .map(|number| Column { at: number as f64 * width, latency: None, has_lost: false })
        .collect();
    for sample in &trace.samples {
        let Some(column) = columns.get_mut((sample.sent_s / width) as usize) else { continue };
        match sample.latency_ms.map(|ms| ms.max(1.0).log10()) {
            Some(at) => {
                let (low, high) = column.latency.unwrap_or((at, at));
                column.latency = Some((low.min(at), high.max(at)));
            }
            None => column.has_lost = true,
        }
    }
    columns
}

fn bytes(rows: &[Row<'_>]) -> Result<String, ReportError> {
    let per_sample = |bytes: u64, row: &Row<'_>| bytes as f64 / row.result.samples.max(1) as f64;
    let figures: Vec<[f64; 2]> = rows
        .iter()
        .map(|row| [per_sample(row.result.uplink.bytes, row), per_sample(row.result.downlink.bytes, row)])
        .collect();
    let end = figures.iter().flatten().copied().fold(1.0, f64::max) * 1.12;
    let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0];
    let sizes = Axis::linear(end, &steps, |bytes| format!("{bytes:.0}"));
    let count = rows.len() as f64;
    // The first on top.
    let bottom = |number: usize| count - 1.0 - number as f64;
    let names = rows.iter().zip(0..).map(|(row, number)| (bottom(number) + 0.5, row.system.to_owned()));
    let systems = Axis { low: 0.0, high: count.max(1.0), ticks: names.collect() };
    draw(BARS_FRAME + BAR_HEIGHT * rows.len() as u32, |area| {
        let mut chart = chart(area, sizes, systems)?;
        for (&[up, down], number) in figures.iter().zip(0..) {
            let color = palette::system(number).light;
            let bars = [(up, 0.5, 0.88, color.mix(1.0)), (down, 0.18, 0.46, color.mix(0.5))];
            for (value, from, to, color) in bars {
                let corners = [(0.0, bottom(number) + from), (value, bottom(number) + to)];
                let label = (value + end * 0.005, bottom(number) + to);
                chart.draw_series([Rectangle::new(corners, color.filled())]).map_err(text)?;
                let style = (FONT, FONT_SIZE - 2).into_font().color(&INK.light);
                chart.draw_series([Text::new(format!("{value:.1}"), label, style)]).map_err(text)?;
            }
        }
        Ok(())
    })
}

fn draw(height: u32, what: impl FnOnce(&Area<'_>) -> Result<(), ReportError>) -> Result<String, ReportError> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
    area.fill(&PAPER.light).map_err(text)?;
    what(&area)?;
    area.present().map_err(text)?;
    drop(area);
    Ok(svg)
}

fn chart<'a, 'b>(area: &'a Area<'b>, x: Axis, y: Axis) -> Result<Chart<'a, 'b>, ReportError> {
    let mut chart = ChartBuilder::on(area)
        .margin(MARGIN)
        .set_label_area_size(LabelAreaPosition::Left, LABELS_LEFT)
        .set_label_area_size(LabelAreaPosition::Bottom, LABELS_BELOW)
        .build_cartesian_2d(x, y)
        .map_err(text)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .bold_line_style(GRID.light)
        .axis_style(FAINT_INK.light)
        .label_style((FONT, FONT_SIZE).into_font().color(&FAINT_INK.light))
        .draw()
        .map_err(text)?;
    Ok(chart)
}

fn text(error: impl std::fmt::Display) -> ReportError {
    ReportError::Draw(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::TracedSample;

    #[test]
    fn columns_keep_the_extremes_and_what_was_lost() {
        let samples = [(0.1, Some(100.0)), (0.2, Some(1000.0)), (1.5, None), (99.0, Some(5.0))];
        let samples = samples.map(|(sent_s, latency_ms)| TracedSample { sent_s, latency_ms });
        let columns = columns(&Trace { samples: samples.to_vec(), outages: vec![] }, 1.0);
        assert_eq!(columns[0].latency, Some((2.0, 3.0)));
        assert!(columns[1].latency.is_none() && columns[1].has_lost);
        assert!(columns[99].latency.is_some() && !columns[99].has_lost);
    }

    #[test]
    fn nines_stretch_the_tail() {
        assert!((nines(0.999) - 3.0).abs() < 1e-9 && nines(0.0) == 0.0);
        assert_eq!((duration(500.0), duration(20_000.0)), ("500 ms".to_owned(), "20 s".to_owned()));
    }
}
