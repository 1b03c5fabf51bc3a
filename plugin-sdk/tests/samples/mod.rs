//! One call and one answer of every method, with something in every field.

mod common;
mod image;
mod instance;
mod network;
mod storage;

pub(crate) use common::{host, lifecycle};
pub(crate) use image::image;
pub(crate) use instance::instance;
pub(crate) use network::network;
pub(crate) use storage::storage;

/// The samples of a contract, and the compiler's proof that no method is left out.
macro_rules! samples {
    ($name:ident, $request:ident, $response:ident, { $($method:ident { $($field:ident: $value:expr),* } => $answer:expr;)* }) => {
        pub(crate) fn $name() -> Vec<crate::Sample<$request, $response>> {
            #[allow(dead_code)]
            fn complete(request: &$request) {
                match request {
                    $($request::$method { .. } => {})*
                }
            }
            vec![$(crate::Sample {
                method: stringify!($method),
                request: $request::$method { $($field: $value),* },
                reply: $response::$method($answer),
            }),*]
        }
    };
}
pub(crate) use samples;
