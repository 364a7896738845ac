//! Embeds the page: a table of the files that `npm run build` has put into `web/dist`, empty where nobody built it.
//!
//! `web/dist` itself is in the repository, empty, so that Cargo can watch it. Files are copied first: the compiler reads
//! them later, when another build of the page may have taken them away.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=web/dist");
    let root = folder("CARGO_MANIFEST_DIR")?.join("web/dist");
    let out = folder("OUT_DIR")?;
    let mut files = Vec::new();
    if root.is_dir() {
        collect(&root, &mut files)?;
    }
    files.sort();
    let mut table = String::from("&[\n");
    for path in files {
        let name = path.strip_prefix(&root).map_err(io::Error::other)?.to_string_lossy().replace('\\', "/");
        if name.ends_with(".gz") || name.starts_with('.') {
            continue;
        }
        let bytes = keep(&path, &out, &name)?;
        let mut compressed = path.into_os_string();
        compressed.push(".gz");
        let compressed = PathBuf::from(compressed);
        let gzip = if compressed.is_file() {
            format!("Some({})", keep(&compressed, &out, &format!("{name}.gz"))?)
        } else {
            "None".to_owned()
        };
        writeln!(table, "    File {{ name: {name:?}, bytes: {bytes}, gzip: {gzip} }},")
            .map_err(io::Error::other)?;
    }
    table.push(']');
    fs::write(out.join("page_files.rs"), table)
}

fn folder(variable: &str) -> io::Result<PathBuf> {
    env::var_os(variable).map(PathBuf::from).ok_or_else(|| io::Error::other(format!("{variable} is not set")))
}

/// Copies a file to where nothing takes it away; returns the expression that includes it.
fn keep(file: &Path, out: &Path, name: &str) -> io::Result<String> {
    let kept = out.join("page").join(name);
    fs::create_dir_all(kept.parent().unwrap_or(out))?;
    fs::copy(file, &kept)?;
    Ok(format!("include_bytes!({:?})", kept.to_string_lossy()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
