/**
 * IKEv2 on the wire (RFC 7296, 7383). In: bytes of a datagram, without the non-ESP marker. Out: values, or a reason; nothing
 * of them makes a decoder throw, or read what is not theirs. What is inside the encrypted payload is the ike room's.
 */
export * from './ike/configuration.js';
export * from './ike/constants.js';
export * from './ike/decode.js';
export * from './ike/header.js';
export * from './ike/payload.js';
export * from './ike/proposal.js';
export * from './ike/selectors.js';
