//! The report as Markdown.

use std::fmt::Write;

use super::Maker;
use super::section::{Section, by_transport};
use super::table::{Table, tables};

pub(super) fn render(maker: &Maker<'_>, sections: &[Section<'_>]) -> String {
    let command = maker.command.replace('`', "'");
    let mut out = format!("# Testbed report\n\nMade by `{command}`{}.\n", cell(&maker.origin()));
    for section in sections {
        // Writing to a string cannot fail.
        let _ = write_section(&mut out, section);
    }
    out
}

fn write_section(out: &mut String, section: &Section<'_>) -> std::fmt::Result {
    writeln!(out, "\n## {}", cell(section.scenario))?;
    if let Some(first) = section.rows.first() {
        let result = first.result;
        writeln!(
            out,
            "\nLink {}{}, seed {}, {} samples in {} s; the link alone delays by {:.0} ms.",
            result.link,
            by_transport(result),
            result.seed,
            result.samples,
            result.seconds,
            result.one_way_ms
        )?;
    }
    for Table { title, head, rows } in tables(section) {
        writeln!(out, "\n{title}:\n\n| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()))?;
        for row in rows {
            let cells: Vec<String> = row.iter().map(|text| cell(text)).collect();
            writeln!(out, "| {} |", cells.join(" | "))?;
        }
    }
    for plot in &section.plots {
        writeln!(out, "\n![{}]({})", cell(&plot.title), plot.file)?;
        if !plot.caption.is_empty() {
            writeln!(out, "\n{}", plot.caption)?;
        }
    }
    Ok(())
}

/// Text that stays within its cell.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '|' | '<' | '[' | ']' | '*' | '\\' => out.extend(['\\', char]),
            '\n' | '\r' => out.push(' '),
            _ => out.push(char),
        }
    }
    out
}
