//! Reading `reveille.yaml`: every problem of the file at once, each with its line, its field and a hint.
//!
//! ```text
//! text -> tree (places, duplicate keys) -> raw (strict types) -> check (rules between fields) -> LocalConfig
//! ```
//! A stage goes on with whatever the one before could make sense of, so that one mistake does not hide the
//! next. What a mistake entails is not reported again. Only broken YAML ends it early.

mod address;
mod check;
mod de;
mod document;
mod free;
mod hint;
mod path;
mod problem;
mod raw;
#[cfg(test)]
mod tests;
mod tree;

use std::{
    fs::File,
    io::{self, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use ipnet::IpNet;
use reveille_controller::local::config::LocalApp;

pub(crate) use self::{address::conflict, hint::nearest};
pub use self::{
    address::{parse as parse_address, parse_network},
    free::{Obstacles, check_ports_free, obstacles},
    problem::{Place, Problem, Problems},
};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 8 << 20;

/// A file of local mode, checked and complete.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalConfig {
    /// The file it was read from, as the user named it.
    pub file: PathBuf,
    /// Where the admin port listens.
    pub admin: SocketAddr,
    /// Where the gateway listens, which routes by Host.
    pub gateway: Option<SocketAddr>,
    /// The proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The apps, in the file's order.
    pub apps: Vec<Arc<LocalApp>>,
    /// Every address that Reveille listens on (admin, gateway, ports of apps), and where the file says so.
    pub binds: Vec<Bind>,
}

/// An address that Reveille listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The field that gives it.
    pub field: String,
    /// Where that stands. None for a default.
    pub place: Option<Place>,
    /// The address.
    pub address: SocketAddr,
}

/// Reads and checks a file. Relative paths in it begin at its folder.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path) -> Result<LocalConfig, Problems> {
    let bytes = read(path).map_err(|reason| Problems::of_file(path, reason))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let line = valid.matches('\n').count() + 1;
        let column = valid.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        let byte = bytes[error.valid_up_to()];
        let reason = format!("the byte 0x{byte:02x} is no UTF-8; save the file as UTF-8");
        Problems::new(
            path,
            vec![Problem { place: Some(Place { line, column }), field: String::new(), reason }],
        )
    })?;
    let folder = std::path::absolute(path)
        .and_then(|path| path.parent().map(Path::to_owned).ok_or_else(|| io::ErrorKind::NotFound.into()))
        .map_err(|error| Problems::of_file(path, format!("its folder is not known: {error}")))?;
    parse(text, path, &folder)
}

/// Checks the text of a file. `path` names it in messages; relative paths in it begin at `base_dir`, which is
/// absolute.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(text: &str, path: &Path, base_dir: &Path) -> Result<LocalConfig, Problems> {
    if text.len() as u64 > MAX_FILE {
        return Err(Problems::of_file(path, too_large()));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut problems = Vec::new();
    let root = match tree::read(text, &mut problems) {
        Ok(root) => root,
        Err(problem) => {
            problems.push(problem);
            return Err(Problems::new(path, problems));
        }
    };
    let Some(root) = root else {
        problems.insert(0, Problem { place: None, field: String::new(), reason: EMPTY.to_owned() });
        return Err(Problems::new(path, problems));
    };
    if let Some(problem) = of_kubernetes(&root) {
        return Err(Problems::new(path, vec![problem]));
    }
    let mut document = document::Document::new(root, problems);
    let raw = document.read();
    let config = raw.map(|raw| check::file(raw, &mut document, path, base_dir));
    document.finish(config, path)
}

/// An object of Kubernetes, which is another file than this one: said once instead of field by field.
fn of_kubernetes(root: &tree::Node) -> Option<Problem> {
    let tree::Content::Map(entries) = &root.content else { return None };
    let entry = |key: &str| entries.iter().find(|entry| entry.key == key);
    let (_, kind) = (entry("apiVersion")?, entry("kind")?);
    let named = match &kind.node.content {
        tree::Content::Scalar { text, .. } if !text.is_empty() => format!("a {text}"),
        _ => "an object".to_owned(),
    };
    let reason = format!(
        "this is {named} of Kubernetes, which `kubectl apply --dry-run=server` checks; a file of local mode begins with apps:"
    );
    Some(Problem { place: Some(kind.key_place), field: "kind".to_owned(), reason })
}

/// The value of a text in YAML, as the reader of the local file takes it. For tests of other files in YAML.
#[cfg(test)]
pub(crate) fn read_yaml(text: &str) -> Result<serde_json::Value, String> {
    let mut problems = Vec::new();
    let root = tree::read(text, &mut problems).map_err(|problem| problem.reason)?;
    match problems.first() {
        Some(problem) => Err(problem.reason.clone()),
        None => root.map_or(Ok(serde_json::Value::Null), |root| {
            de::read(&root).map_err(|failure| failure.to_string())
        }),
    }
}

const EMPTY: &str = "the file is empty; write apps: and the first app below it";

fn too_large() -> String {
    format!("larger than {} MiB; this is not the file you mean", MAX_FILE >> 20)
}

/// The bytes of the file, or why there are none.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let explain = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file; name another with -c FILE".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read by this user; check its permissions".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    if path.is_dir() {
        let inside = path.join("reveille.yaml");
        return Err(match inside.is_file() {
            true => format!("is a folder; did you mean {}?", inside.display()),
            false => "is a folder; name the file in it".to_owned(),
        });
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(explain)?;
    if bytes.len() as u64 > MAX_FILE { Err(too_large()) } else { Ok(bytes) }
}
