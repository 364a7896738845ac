//! Embeds the page: a table of the files that `npm run build` has put into `web/dist`, empty where nobody built it.
//!
//! `web/dist` itself is in the repository, empty, so that Cargo can watch it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=web/dist");
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("web/dist");
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
        let mut gz = path.clone().into_os_string();
        gz.push(".gz");
        let gzip = if Path::new(&gz).is_file() {
            format!("Some(include_bytes!({:?}))", gz.to_string_lossy())
        } else {
            "None".to_owned()
        };
        writeln!(
            table,
            "    File {{ name: {name:?}, bytes: include_bytes!({:?}), gzip: {gzip} }},",
            path.to_string_lossy()
        )
        .map_err(io::Error::other)?;
    }
    table.push(']');
    fs::write(Path::new(&env::var("OUT_DIR").map_err(io::Error::other)?).join("page_files.rs"), table)
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
