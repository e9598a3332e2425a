//! Images without a registry: programs of this machine with the libraries that they need, as one layer.

mod nginx;
mod reveille;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::process::{command, run};

/// The image of the process that holds each pod's namespaces.
pub(crate) const PAUSE: &str = "reveille.test/pause:1";

/// An image to make.
#[derive(Clone, Debug)]
pub struct Image {
    name: String,
    programs: Vec<(PathBuf, PathBuf)>,
    copies: Vec<(PathBuf, String)>,
    files: Vec<(String, String)>,
    folders: Vec<String>,
    entrypoint: Vec<String>,
    environment: Vec<String>,
}

impl Image {
    /// An empty one, but for `/tmp` and the users root and nobody.
    pub fn new(name: &str) -> Self {
        let this = Self {
            name: format!("reveille.test/{name}:1"),
            programs: Vec::new(),
            copies: Vec::new(),
            files: Vec::new(),
            folders: Vec::new(),
            entrypoint: Vec::new(),
            environment: Vec::new(),
        };
        this.folder("/tmp")
            .file("/etc/passwd", "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")
            .file("/etc/group", "root:x:0:\nnogroup:x:65534:\n")
    }

    /// Its name, for a container's `image`. The policy has to be `Never`: there is no registry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts a program of this machine to where it is here, with its libraries.
    #[must_use]
    pub fn program(self, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        self.program_as(path.clone(), path)
    }

    /// Puts a program of this machine to another place, with its libraries.
    #[must_use]
    pub fn program_as(mut self, from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        self.programs.push((from.into(), to.into()));
        self
    }

    /// Puts a file or a folder of this machine to a place.
    #[must_use]
    pub fn copy(mut self, from: impl Into<PathBuf>, to: &str) -> Self {
        self.copies.push((from.into(), to.to_owned()));
        self
    }

    /// Writes a file.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// Makes a folder that everybody may write into.
    #[must_use]
    pub fn folder(mut self, path: &str) -> Self {
        self.folders.push(path.to_owned());
        self
    }

    /// What a container runs unless it says something else.
    #[must_use]
    pub fn entrypoint(mut self, words: &[&str]) -> Self {
        self.entrypoint = words.iter().map(ToString::to_string).collect();
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push(format!("{name}={value}"));
        self
    }

    /// What holds a pod's namespaces.
    pub(crate) fn pause() -> Self {
        Self::new("pause").program("/bin/sleep").entrypoint(&["/bin/sleep", "infinity"])
    }

    /// Writes it as `docker save` does, into `folder`, and returns the file.
    pub(crate) async fn write(&self, folder: &Path) -> PathBuf {
        let name = self.name.replace(['/', ':'], "_");
        let (root, parts) = (folder.join(format!("{name}.root")), folder.join(&name));
        fs::create_dir_all(&parts).expect("the cluster's folders can be written");
        self.fill(&root).await;
        tar(&root, &parts.join("layer.tar")).await;
        let digest = run(command("sha256sum", [parts.join("layer.tar")])).await.ok();
        let digest = digest.split_whitespace().next().expect("sha256sum writes the sum first").to_owned();
        let config = self.config(&digest).to_string();
        let manifest = json!([{ "Config": "config.json", "RepoTags": [self.name], "Layers": ["layer.tar"] }]);
        for (file, text) in [("config.json", config), ("manifest.json", manifest.to_string())] {
            fs::write(parts.join(file), text).expect("the cluster's folders can be written");
        }
        let archive = folder.join(format!("{name}.tar"));
        tar(&parts, &archive).await;
        for folder in [root, parts] {
            fs::remove_dir_all(folder).expect("the cluster's folders can be emptied");
        }
        archive
    }

    fn config(&self, digest: &str) -> Value {
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
        let environment: Vec<&String> = std::iter::once(&path).chain(&self.environment).collect();
        json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": { "Env": environment, "Entrypoint": self.entrypoint, "WorkingDir": "/" },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
        })
    }

    /// Puts everything to its place below `root`.
    async fn fill(&self, root: &Path) {
        for (program, to) in &self.programs {
            place(program, root, to).await;
            for library in libraries(program).await {
                place(&library, root, &library).await;
            }
        }
        for (from, to) in &self.copies {
            place(from, root, Path::new(to)).await;
        }
        for (path, text) in &self.files {
            let path = below(root, Path::new(path));
            fs::write(path, text).expect("the cluster's folders can be written");
        }
        for folder in &self.folders {
            let folder = below(root, Path::new(folder));
            fs::create_dir_all(&folder).expect("the cluster's folders can be written");
            let all = fs::Permissions::from_mode(0o1777);
            fs::set_permissions(&folder, all).expect("one's own folder can be changed");
        }
    }
}

/// Packs a folder. Whoever owns its files here, root does in the image.
async fn tar(folder: &Path, archive: &Path) {
    let mut tar = command("tar", ["--owner=0", "--group=0", "--numeric-owner", "-cf"]);
    tar.arg(archive).arg("-C").arg(folder).arg(".");
    run(tar).await.ok();
}

/// The libraries that a program is linked with, and what loads them.
async fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = run(command("ldd", [program])).await;
    // One that is linked statically has none, which ldd calls a failure.
    let words = output.stdout.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'));
    words.map(PathBuf::from).collect()
}

/// Copies a file or folder, links followed, with its permissions.
async fn place(from: &Path, root: &Path, to: &Path) {
    let mut cp = command("cp", ["--recursive", "--dereference", "--preserve=mode", "--no-target-directory"]);
    cp.arg(from).arg(below(root, to));
    run(cp).await.ok();
}

/// An absolute path of the image as one of this machine, whose folder is made.
fn below(root: &Path, path: &Path) -> PathBuf {
    let path = root.join(path.strip_prefix("/").expect("a place in an image is absolute"));
    fs::create_dir_all(path.parent().expect("it is below the root"))
        .expect("the cluster's folders can be written");
    path
}
