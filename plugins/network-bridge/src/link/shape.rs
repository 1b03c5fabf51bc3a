//! Rate limits: a token bucket on an interface, and leading what an interface receives through another.

use rtnetlink::packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle, TcMessage, TcOption};

use futures::StreamExt;

use super::error::LinkError;
use super::links::Links;
use super::read::Found;

impl Links {
    /// Limits what leaves an interface to `rate` bits per second.
    pub(crate) async fn limit(&self, link: &Found, rate: u64) -> Result<(), LinkError> {
        let what = format!("limit interface `{}` to {rate} bit/s", link.name);
        let mut message = TcMessage::with_index(index(link));
        message.header.parent = TcHandle::ROOT;
        message.header.handle = TcHandle { major: 1, minor: 0 };
        message.attributes.push(TcAttribute::Kind("tbf".into()));
        message.attributes.push(TcAttribute::Options(token_bucket(rate)));
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewQueueDiscipline(message));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        let mut handle = self.handle.clone();
        let mut answers = handle.request(request).map_err(|error| LinkError::new(what.clone(), error))?;
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::Error(error) = answer.payload
                && error.code.is_some()
            {
                return Err(LinkError::new(what, rtnetlink::Error::NetlinkError(error)));
            }
        }
        Ok(())
    }

    /// Everything `from` receives leaves by `to` first, and is limited there.
    pub(crate) async fn lead_through(&self, from: &Found, to: &Found) -> Result<(), LinkError> {
        let failed = |error| LinkError::new(format!("lead `{}` through `{}`", from.name, to.name), error);
        self.handle.qdisc().add(index(from)).ingress().execute().await.map_err(failed)?;
        let filter =
            self.handle.traffic_filter(index(from)).add().parent(0xffff_0000).priority(1).protocol(ETH_P_ALL.to_be());
        filter.redirect(to.index).map_err(failed)?.execute().await.map_err(failed)
    }
}

fn index(link: &Found) -> i32 {
    link.index.cast_signed()
}

/// `struct tc_tbf_qopt` and its 64-bit companions (linux/pkt_sched.h).
fn token_bucket(rate: u64) -> Vec<TcOption> {
    let bytes = rate / 8;
    // One large segment at least; otherwise what comes in a hundredth of a second.
    let burst = u32::try_from((bytes / 100).clamp(64 << 10, 16 << 20)).unwrap_or(u32::MAX);
    // Waiting packets: a twentieth of a second's worth, and a burst more.
    let limit = u32::try_from((bytes / 20).min(32 << 20)).unwrap_or(u32::MAX).saturating_add(burst);
    let mut parameters = Vec::with_capacity(36);
    let rate32 = u32::try_from(bytes).unwrap_or(u32::MAX);
    for rate in [rate32, 0] {
        let linklayer = u8::from(rate > 0); // TC_LINKLAYER_ETHERNET: no table of packet times is needed
        parameters.extend_from_slice(&[0, linklayer, 0, 0, 0, 0, 0, 0]);
        parameters.extend_from_slice(&rate.to_ne_bytes());
    }
    for word in [limit, 0, 0] {
        parameters.extend_from_slice(&word.to_ne_bytes());
    }
    let option = |kind, bytes: Vec<u8>| TcOption::Other(DefaultNla::new(kind, bytes));
    let mut options = vec![option(TCA_TBF_PARMS, parameters), option(TCA_TBF_BURST, burst.to_ne_bytes().to_vec())];
    if bytes >= u64::from(u32::MAX) {
        options.push(option(TCA_TBF_RATE64, bytes.to_ne_bytes().to_vec()));
    }
    options
}

const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
const ETH_P_ALL: u16 = 3; // linux/if_ether.h
