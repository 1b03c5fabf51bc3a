//! The names of the contracts' methods, read off the contracts themselves: nobody keeps a list, so none is forgotten.

use serde::de::value::Error;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

use crate::PluginKind;
use crate::host::HostRequest;
use crate::image::ImageSourceRequest;
use crate::instance::InstanceDriverRequest;
use crate::lifecycle::LifecycleRequest;
use crate::network::NetworkDriverRequest;
use crate::storage::StorageDriverRequest;

/// The methods of a kind's contract, in the order of their numbers on the wire.
pub fn methods(kind: PluginKind) -> Vec<String> {
    match kind {
        PluginKind::Storage => names::<StorageDriverRequest>(),
        PluginKind::Network => names::<NetworkDriverRequest>(),
        PluginKind::Instance => names::<InstanceDriverRequest>(),
        PluginKind::Image => names::<ImageSourceRequest>(),
    }
}

/// The methods that every kind answers: [`crate::Lifecycle`].
pub fn lifecycle_methods() -> Vec<String> {
    names::<LifecycleRequest>()
}

/// What a plugin may ask of Hull: [`crate::Host`].
pub fn upcalls() -> Vec<String> {
    names::<HostRequest>()
}

/// A request enumeration's variants, which tarpc makes of the methods: `CreatePool` of `create_pool`.
fn names<Request: DeserializeOwned>() -> Vec<String> {
    let mut variants = Variants(&[]);
    // It fails when it has told the names, which is all that is wanted.
    let _ = Request::deserialize(&mut variants);
    variants.0.iter().map(|variant| snake_case(variant)).collect()
}

fn snake_case(variant: &str) -> String {
    let mut name = String::with_capacity(variant.len() + 4);
    for letter in variant.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// Learns an enumeration's variants from how it asks to be decoded.
struct Variants(&'static [&'static str]);

impl<'de> Deserializer<'de> for &mut Variants {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("not an enumeration"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0 = variants;
        Err(Error::custom("only the names are wanted"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `async fn`s between a service's trait and the brace that closes it.
    fn written(source: &str, service: &str) -> Vec<String> {
        let (_, body) = source.split_once(&format!("pub trait {service} {{")).unwrap();
        let (body, _) = body.split_once("\n}").unwrap();
        let name = |rest: &str| rest.split(['(', '<']).next().unwrap_or_default().to_owned();
        body.split("async fn ").skip(1).map(name).collect()
    }

    #[test]
    fn every_method_that_is_written_is_named_in_order() {
        use PluginKind::{Image, Instance, Network, Storage};
        assert_eq!(methods(Storage), written(include_str!("storage.rs"), "StorageDriver"));
        assert_eq!(methods(Network), written(include_str!("network.rs"), "NetworkDriver"));
        assert_eq!(methods(Instance), written(include_str!("instance.rs"), "InstanceDriver"));
        assert_eq!(methods(Image), written(include_str!("image.rs"), "ImageSource"));
        assert_eq!(lifecycle_methods(), written(include_str!("lifecycle.rs"), "Lifecycle"));
        assert_eq!(upcalls(), written(include_str!("host.rs"), "Host"));
        assert!(methods(Storage).contains(&"create_pool".to_owned()));
    }
}
