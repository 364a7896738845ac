//! The report as a page: no script, nothing from elsewhere, light and dark as the reader's system is.

use std::fmt::Write;

use super::Maker;
use super::palette::{self, code};
use super::section::{Plot, Section, by_transport};
use super::table::{Table, tables};

const STYLE: &str = include_str!("style.css");

pub(super) fn render(maker: &Maker<'_>, sections: &[Section<'_>]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_page(&mut out, maker, sections);
    out
}

fn write_page(out: &mut String, maker: &Maker<'_>, sections: &[Section<'_>]) -> std::fmt::Result {
    out.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    out.push_str("<meta name=\"color-scheme\" content=\"light dark\">\n<title>Testbed report</title>\n");
    writeln!(out, "<style>\n{STYLE}{}</style>\n</head>\n<body>\n<main>", dark_plots())?;
    writeln!(
        out,
        "<header><h1>Testbed report</h1>\n<p>Made by <code>{}</code>{}.</p></header>",
        escape(maker.command),
        escape(&maker.origin())
    )?;
    for section in sections {
        write_section(out, section)?;
    }
    out.push_str("</main>\n</body>\n</html>\n");
    Ok(())
}

fn write_section(out: &mut String, section: &Section<'_>) -> std::fmt::Result {
    writeln!(out, "<section>\n<h2>{}</h2>", escape(section.scenario))?;
    if let Some(first) = section.rows.first() {
        let result = first.result;
        writeln!(
            out,
            "<p>Link <b>{}</b>{}, seed <b>{}</b>, <b>{}</b> samples in <b>{} s</b>; the link alone delays by <b>{:.0} ms</b>.</p>",
            escape(&result.link),
            by_transport(result),
            result.seed,
            result.samples,
            result.seconds,
            result.one_way_ms
        )?;
    }
    let [latency, rest @ ..] = &tables(section)[..] else { return Ok(()) };
    write_table(out, latency)?;
    for plot in &section.plots {
        write_plot(out, plot)?;
    }
    for table in rest {
        write_table(out, table)?;
    }
    out.push_str("</section>\n");
    Ok(())
}

fn write_table(out: &mut String, Table { title, head, rows }: &Table) -> std::fmt::Result {
    writeln!(out, "<h3>{title}</h3>\n<div class=\"wide\"><table>\n<thead><tr>")?;
    for text in head {
        write!(out, "<th scope=\"col\">{text}</th>")?;
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (text, column) in row.iter().zip(0..) {
            let text = escape(text);
            match (column, &text[..]) {
                (0, _) => write!(out, "<th scope=\"row\">{text}</th>")?,
                (_, "MISSED") => write!(out, "<td class=\"bad\">{text}</td>")?,
                _ => write!(out, "<td>{text}</td>")?,
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    Ok(())
}

fn write_plot(out: &mut String, plot: &Plot) -> std::fmt::Result {
    writeln!(out, "<figure>\n<h3>{}</h3>", escape(&plot.title))?;
    let label = format!("<svg role=\"img\" aria-label=\"{}\" ", escape(&plot.title));
    writeln!(out, "{}", plot.svg.replacen("<svg ", &label, 1))?;
    if !plot.caption.is_empty() {
        writeln!(out, "<figcaption>{}</figcaption>", escape(plot.caption))?;
    }
    writeln!(out, "</figure>")
}

/// Rules that replace the colours of plots on dark paper.
fn dark_plots() -> String {
    let mut rules = String::from("@media (prefers-color-scheme: dark) {\n");
    for pair in palette::all() {
        let (light, dark) = (code(pair.light), code(pair.dark));
        rules += &format!("  svg [fill=\"{light}\"] {{ fill: {dark}; }}\n");
        rules += &format!("  svg [stroke=\"{light}\"] {{ stroke: {dark}; }}\n");
    }
    rules + "}\n"
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(char),
        }
    }
    out
}
