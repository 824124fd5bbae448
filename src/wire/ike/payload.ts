/** Payloads as values (RFC 7296 §3.3…§3.16). */
import type { Bytes } from '../bytes.js';
import { type Configuration, decodeConfiguration, encodeConfiguration } from './configuration.js';
import { payloadType, protocolId } from './constants.js';
import { bad, be16, be32, concat, good, type IkeDecoded, Reader } from './decode.js';
import type { RawPayload } from './header.js';
import { decodeProposals, encodeProposals, type Proposal } from './proposal.js';
import { decodeTrafficSelectors, encodeTrafficSelectors, type TrafficSelectorRange } from './selectors.js';

export interface Identification {
  /** idType */
  readonly type: number;
  readonly data: Bytes;
}

export interface Notify {
  /** notifyType */
  readonly type: number;
  /** protocolId; none where the notify is of the IKE SA itself */
  readonly protocol: number;
  readonly spi: Bytes;
  readonly data: Bytes;
}

export type Payload =
  | { readonly kind: 'sa'; readonly proposals: readonly Proposal[] }
  | { readonly kind: 'ke'; readonly group: number; readonly data: Bytes }
  | ({ readonly kind: 'idInitiator' | 'idResponder' } & Identification)
  | { readonly kind: 'certificate'; readonly encoding: number; readonly data: Bytes }
  /** data: hashes of the public keys of authorities, 20 bytes each */
  | { readonly kind: 'certificateRequest'; readonly encoding: number; readonly data: Bytes }
  | { readonly kind: 'auth'; readonly method: number; readonly data: Bytes }
  | { readonly kind: 'nonce'; readonly data: Bytes }
  | ({ readonly kind: 'notify' } & Notify)
  /** spis: none for the IKE SA itself */
  | { readonly kind: 'delete'; readonly protocol: number; readonly spis: readonly number[] }
  | { readonly kind: 'vendorId'; readonly data: Bytes }
  | {
      readonly kind: 'tsInitiator' | 'tsResponder';
      readonly selectors: readonly TrafficSelectorRange[];
    }
  | ({ readonly kind: 'configuration' } & { readonly configuration: Configuration })
  | { readonly kind: 'eap'; readonly data: Bytes }
  /** not known and not critical: to be skipped */
  | { readonly kind: 'unknown'; readonly type: number };

export type PayloadKind = Payload['kind'];

/** RFC 7296 §2.10, §3.9 */
export const nonceBytes = { least: 16, most: 256 } as const;

export function decodePayload({ type, isCritical, body }: RawPayload): IkeDecoded<Payload> {
  const reader = new Reader(body);
  switch (type) {
    case payloadType.sa: {
      const proposals = decodeProposals(body);
      return proposals.ok ? good({ kind: 'sa', proposals: proposals.value }) : proposals;
    }
    case payloadType.ke: {
      const group = reader.u16();
      reader.u16();
      const data = reader.rest();
      return reader.failed || data.length === 0
        ? bad('ike_bad_key_exchange')
        : good({ kind: 'ke', group, data });
    }
    case payloadType.idInitiator:
    case payloadType.idResponder: {
      const idKind = reader.u8();
      reader.bytes(3);
      const data = reader.rest();
      const kind = type === payloadType.idInitiator ? 'idInitiator' : 'idResponder';
      return reader.failed || data.length === 0
        ? bad('ike_bad_identification')
        : good({ kind, type: idKind, data });
    }
    case payloadType.certificate:
    case payloadType.certificateRequest: {
      const encoding = reader.u8();
      const data = reader.rest();
      const kind = type === payloadType.certificate ? 'certificate' : 'certificateRequest';
      return reader.failed ? bad('ike_bad_certificate') : good({ kind, encoding, data });
    }
    case payloadType.auth: {
      const method = reader.u8();
      reader.bytes(3);
      const data = reader.rest();
      return reader.failed || data.length === 0 ? bad('ike_bad_auth') : good({ kind: 'auth', method, data });
    }
    case payloadType.nonce:
      return body.length < nonceBytes.least || body.length > nonceBytes.most
        ? bad('ike_bad_nonce')
        : good({ kind: 'nonce', data: body });
    case payloadType.notify:
      return decodeNotify(reader);
    case payloadType.delete:
      return decodeDelete(reader);
    case payloadType.vendorId:
      return good({ kind: 'vendorId', data: body });
    case payloadType.tsInitiator:
    case payloadType.tsResponder: {
      const selectors = decodeTrafficSelectors(body);
      const kind = type === payloadType.tsInitiator ? 'tsInitiator' : 'tsResponder';
      return selectors.ok ? good({ kind, selectors: selectors.value }) : selectors;
    }
    case payloadType.configuration: {
      const configuration = decodeConfiguration(body);
      return configuration.ok
        ? good({ kind: 'configuration', configuration: configuration.value })
        : configuration;
    }
    case payloadType.eap:
      return good({ kind: 'eap', data: body });
    default:
      return isCritical ? bad('ike_unknown_critical', type) : good({ kind: 'unknown', type });
  }
}

function decodeNotify(reader: Reader): IkeDecoded<Payload> {
  const protocol = reader.u8();
  const spiSize = reader.u8();
  const type = reader.u16();
  const spi = reader.bytes(spiSize);
  const data = reader.rest();
  return reader.failed ? bad('ike_bad_notify') : good({ kind: 'notify', type, protocol, spi, data });
}

function decodeDelete(reader: Reader): IkeDecoded<Payload> {
  const protocol = reader.u8();
  const spiSize = reader.u8();
  const count = reader.u16();
  const isIke = protocol === protocolId.ike;
  if (reader.failed || spiSize !== (isIke ? 0 : 4) || (isIke && count !== 0)) return bad('ike_bad_delete');
  if (reader.left !== count * spiSize) return bad('ike_bad_delete');
  const spis: number[] = [];
  for (let i = 0; i < count; i++) spis.push(reader.u32());
  return good({ kind: 'delete', protocol, spis });
}

/** All payloads of a message, or what is wrong with the first that is not right. */
export function decodePayloads(payloads: readonly RawPayload[]): IkeDecoded<Payload[]> {
  const values: Payload[] = [];
  for (const raw of payloads) {
    const payload = decodePayload(raw);
    if (!payload.ok) return payload;
    values.push(payload.value);
  }
  return good(values);
}

export function encodePayload(payload: Payload): RawPayload {
  const raw = (type: number, body: Bytes): RawPayload => ({ type, isCritical: false, body });
  switch (payload.kind) {
    case 'sa':
      return raw(payloadType.sa, encodeProposals(payload.proposals));
    case 'ke':
      return raw(payloadType.ke, concat(be16(payload.group), be16(0), payload.data));
    case 'idInitiator':
    case 'idResponder':
      return raw(
        payload.kind === 'idInitiator' ? payloadType.idInitiator : payloadType.idResponder,
        identificationBody(payload),
      );
    case 'certificate':
    case 'certificateRequest':
      return raw(
        payload.kind === 'certificate' ? payloadType.certificate : payloadType.certificateRequest,
        concat(Uint8Array.of(payload.encoding), payload.data),
      );
    case 'auth':
      return raw(payloadType.auth, concat(Uint8Array.of(payload.method, 0, 0, 0), payload.data));
    case 'nonce':
      return raw(payloadType.nonce, payload.data);
    case 'notify':
      return raw(
        payloadType.notify,
        concat(
          Uint8Array.of(payload.protocol, payload.spi.length),
          be16(payload.type),
          payload.spi,
          payload.data,
        ),
      );
    case 'delete': {
      const spiSize = payload.protocol === protocolId.ike ? 0 : 4;
      return raw(
        payloadType.delete,
        concat(
          Uint8Array.of(payload.protocol, spiSize),
          be16(payload.spis.length),
          ...payload.spis.map((spi) => be32(spi)),
        ),
      );
    }
    case 'vendorId':
      return raw(payloadType.vendorId, payload.data);
    case 'tsInitiator':
    case 'tsResponder':
      return raw(
        payload.kind === 'tsInitiator' ? payloadType.tsInitiator : payloadType.tsResponder,
        encodeTrafficSelectors(payload.selectors),
      );
    case 'configuration':
      return raw(payloadType.configuration, encodeConfiguration(payload.configuration));
    case 'eap':
      return raw(payloadType.eap, payload.data);
    case 'unknown':
      throw new RangeError(`a payload of type ${payload.type} has no value to encode`);
  }
}

/** What of an identification is signed (RFC 7296 §2.15: the payload without its generic header). */
export const identificationBody = ({ type, data }: Identification): Bytes =>
  concat(Uint8Array.of(type, 0, 0, 0), data);

/** A notify of the IKE SA, or of none. */
export const notify = (type: number, data: Bytes = new Uint8Array(0)): Payload => ({
  kind: 'notify',
  type,
  protocol: protocolId.none,
  spi: new Uint8Array(0),
  data,
});

/** A notify that names a CHILD SA by the sender's inbound SPI. */
export const childNotify = (type: number, spi: number): Payload => ({
  kind: 'notify',
  type,
  protocol: protocolId.esp,
  spi: be32(spi),
  data: new Uint8Array(0),
});
