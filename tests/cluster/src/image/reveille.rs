//! Reveille as an image, in which it is what the chart takes for granted: the entry point.

use super::Image;
use crate::product;

/// Where the program is in the image.
const PROGRAM: &str = "/usr/local/bin/reveille";

impl Image {
    /// The `reveille` under test, which was built if a test said that it needs it.
    pub fn reveille() -> Self {
        Self::new("reveille").program_as(product::binary(), PROGRAM).entrypoint(&[PROGRAM])
    }
}

impl Image {
    /// The servers of `tests/local`, which do what tests ask of them, in `/servers`.
    pub fn servers() -> Self {
        let place =
            |image: Self, name: &&str| image.program_as(product::server(name), format!("/servers/{name}"));
        product::SERVERS.iter().fold(Self::new("servers"), place)
    }
}
