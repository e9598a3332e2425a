//! The dashboard: files that are part of the program, and that need nothing from anywhere else.
//!
//! They are plain HTML, CSS and JavaScript in `controller/ui`, served as they are written. They tell nothing about any app,
//! so they are open to whoever knows the host; what they show comes by the same calls as everything else, with a key
//! where one is asked for.

use axum::{
    extract::Path,
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, get},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{
    ApiState, Routes,
    problem::{Kind, Problem, escaped},
};

/// Nothing inline, nothing from other hosts, in nobody's frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// One file.
struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($name:literal $kind:ident,)+) => {
        [$(File { name: $name, kind: $kind, text: include_str!(concat!("../../ui/", $name)) },)+]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

static FILES: [File; 13] = files! {
    "index.html" HTML,
    "style.css" CSS,
    "icon.svg" SVG,
    "js/api.js" JS,
    "js/app.js" JS,
    "js/dialog.js" JS,
    "js/format.js" JS,
    "js/list.js" JS,
    "js/live.js" JS,
    "js/main.js" JS,
    "js/message.js" JS,
    "js/sse.js" JS,
    "js/theme.js" JS,
};

/// Its routes.
pub(super) fn routes() -> Routes<4> {
    let there = || -> MethodRouter<ApiState> { get(async || Redirect::temporary("/ui/")) };
    [
        ("/", there()),
        ("/ui", there()),
        ("/ui/", get(async |headers: HeaderMap| file("index.html", &headers))),
        ("/ui/{*name}", get(async |Path(name): Path<String>, headers: HeaderMap| file(&name, &headers))),
    ]
}

fn file(name: &str, headers: &HeaderMap) -> Response {
    let Some(file) = FILES.iter().find(|file| file.name == name) else {
        let detail = format!("there is nothing at /ui/{}; the dashboard is at /ui/", escaped(name));
        return Problem::new(Kind::UnknownPath, detail).into_response();
    };
    let tag = HeaderValue::from_str(&format!("\"{:016x}\"", fingerprint(file.text)))
        .expect("it is made of hexadecimal digits");
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| {
        known
            .to_str()
            .is_ok_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag))
    });
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, file.kind)], file.text).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag);
    // Asked for each time, and sent when it is another one: a new Reveille is seen at once.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// FNV-1a, 64 bits: another one for another text, in every process alike.
fn fingerprint(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served_and_names_only_such_files() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui");
        let names = |folder: &Path, before: &str| -> Vec<String> {
            let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
            let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
            files.map(|entry| format!("{before}{}", entry.file_name().to_str().unwrap())).collect()
        };
        let found: BTreeSet<_> =
            [names(&folder, ""), names(&folder.join("js"), "js/")].concat().into_iter().collect();
        let served: BTreeSet<_> = FILES.iter().map(|file| file.name.to_owned()).collect();
        assert_eq!(found, served);
        for file in FILES.iter().filter(|file| file.kind == JS) {
            for line in
                file.text.lines().filter(|line| line.contains("from \"") || line.starts_with("import \""))
            {
                let name = line.rsplit('"').nth(1).unwrap().strip_prefix("./").unwrap();
                assert!(served.contains(&format!("js/{name}")), "{}: {line}", file.name);
            }
        }
    }

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        for file in &FILES {
            for word in [
                "http://",
                "https://",
                "style=\"",
                "onclick",
                "<script>",
                "<style",
                "innerHTML",
                "localStorage",
            ] {
                // The name of the format of pictures is no address that is asked for.
                let text = file.text.replace("http://www.w3.org/2000/svg", "");
                assert!(!text.contains(word), "{}: {word}", file.name);
            }
        }
    }
}
