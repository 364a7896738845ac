//! The files of the page, as they were when the ground was built.

/// One file.
#[derive(Debug)]
pub(super) struct File {
    /// Its path under the page's root: `assets/index-CD_x5tBP.js`.
    pub(super) name: &'static str,
    /// What is in it.
    pub(super) bytes: &'static [u8],
    /// The same, compressed.
    pub(super) gzip: Option<&'static [u8]>,
}

/// Empty where the page was not built before the ground was.
static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// A file by its name.
pub(super) fn find(name: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.name == name)
}

impl File {
    /// What its name says that it is.
    pub(super) fn content_type(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("json") => "application/json",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
        }
    }
}
