//! The content digest of a sequence: the name of what is installed. Evidence, approvals and permits are
//! bound to it, so it covers everything that changes an installation, and no text.

use sha2::Digest;

use crate::{Package, Sequence, Sha256, Variant};

/// Begins the hashed bytes, so that a later form can never be mistaken for this one.
const FORM: &[u8] = b"ringfence sequence content 1";

impl Sequence {
    /// The content digest. Each variant is hashed by itself: product, architecture, series, base builds,
    /// editions, target, method, and its packages in order with KB, role, hashes, build and restart rule. The
    /// variants' digests are hashed in ascending order, so the order in which they are written is of no
    /// account. Every field is preceded by its length, so that no two contents make the same bytes.
    #[must_use]
    pub fn content_digest(&self) -> Sha256 {
        let mut variants: Vec<Sha256> = self.variants.iter().map(variant).collect();
        variants.sort_unstable();
        let mut fields = Fields::new();
        for digest in &variants {
            fields.put(digest.as_bytes());
        }
        fields.finish()
    }
}

fn variant(variant: &Variant) -> Sha256 {
    let mut bases = variant.base_builds.clone();
    bases.sort_unstable();
    bases.dedup();
    let mut editions: Vec<&str> = variant
        .editions
        .iter()
        .map(crate::Edition::as_str)
        .collect();
    editions.sort_unstable();
    editions.dedup();

    let mut fields = Fields::new();
    fields.text(variant.product.word());
    fields.text(variant.architecture.word());
    fields.text(variant.series.word());
    fields.list(&bases, |fields, base| fields.put(&base.to_le_bytes()));
    fields.list(&editions, |fields, edition| fields.text(edition));
    fields.optional(variant.target_ubr.map(u32::to_le_bytes));
    fields.text(variant.method.word());
    fields.list(&variant.in_order(), |fields, package| {
        put_package(fields, package);
    });
    fields.finish()
}

fn put_package(fields: &mut Fields, package: &Package) {
    fields.put(&package.kb.get().to_le_bytes());
    fields.text(package.role.word());
    fields.optional(package.sha256.map(|hash| *hash.as_bytes()));
    fields.optional(package.file_sha1.map(|hash| *hash.as_bytes()));
    fields.optional(package.build.map(|build| build.to_string()));
    fields.text(package.restart.word());
}

/// Hashes fields with their lengths.
struct Fields(sha2::Sha256);

impl Fields {
    fn new() -> Self {
        let mut fields = Self(sha2::Sha256::new());
        fields.put(FORM);
        fields
    }

    fn put(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.put(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    fn optional(&mut self, value: Option<impl AsRef<[u8]>>) {
        self.count(usize::from(value.is_some()));
        if let Some(bytes) = value {
            self.put(bytes.as_ref());
        }
    }

    fn list<T>(&mut self, items: &[T], mut put: impl FnMut(&mut Self, &T)) {
        self.count(items.len());
        for item in items {
            put(self, item);
        }
    }

    fn finish(self) -> Sha256 {
        Sha256::from_bytes(self.0.finalize().into())
    }
}
