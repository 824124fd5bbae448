/** Numbers of IKEv2 (RFC 7296 and IANA's "Internet Key Exchange Version 2 (IKEv2) Parameters"). */

export const exchangeType = {
  ikeSaInit: 34,
  ikeAuth: 35,
  createChildSa: 36,
  informational: 37,
} as const;

export const payloadType = {
  none: 0,
  sa: 33,
  ke: 34,
  idInitiator: 35,
  idResponder: 36,
  certificate: 37,
  certificateRequest: 38,
  auth: 39,
  nonce: 40,
  notify: 41,
  delete: 42,
  vendorId: 43,
  tsInitiator: 44,
  tsResponder: 45,
  encrypted: 46,
  configuration: 47,
  eap: 48,
  /** RFC 7383 */
  encryptedFragment: 53,
} as const;

/** Protocol identifiers of proposals, notifies and deletes (RFC 7296 §3.3.1). */
export const protocolId = { none: 0, ike: 1, ah: 2, esp: 3 } as const;

export const transformType = {
  encryption: 1,
  prf: 2,
  integrity: 3,
  dhGroup: 4,
  extendedSequenceNumbers: 5,
} as const;

export const encryptionId = { des3: 3, null: 11, aesCbc: 12, aesGcm16: 20 } as const;
export const prfId = { hmacSha1: 2, hmacSha256: 5, hmacSha384: 6, hmacSha512: 7 } as const;
export const integrityId = {
  none: 0,
  hmacSha1_96: 2,
  hmacSha256_128: 12,
  hmacSha384_192: 13,
  hmacSha512_256: 14,
} as const;
/** RFC 7296 §3.3.2, 3526, 5903, 8031 */
export const dhGroupId = {
  none: 0,
  modp1024: 2,
  modp2048: 14,
  modp3072: 15,
  modp4096: 16,
  p256: 19,
  p384: 20,
  p521: 21,
  x25519: 31,
} as const;

export const idType = {
  ipv4: 1,
  fqdn: 2,
  rfc822: 3,
  ipv6: 5,
  dn: 9,
  keyId: 11,
} as const;

/** RFC 7296 §3.8, 4754, 7427 */
export const authMethod = {
  rsa: 1,
  sharedKey: 2,
  ecdsa256: 9,
  ecdsa384: 10,
  ecdsa521: 11,
  digitalSignature: 14,
} as const;

/** RFC 7427 §4 */
export const hashAlgorithm = { sha1: 1, sha256: 2, sha384: 3, sha512: 4 } as const;

export const certificateEncoding = { x509Signature: 4 } as const;

/** Notify types: errors below 16384 (RFC 7296 §3.10.1), status from there on. */
export const notifyType = {
  unsupportedCriticalPayload: 1,
  invalidIkeSpi: 4,
  invalidMajorVersion: 5,
  invalidSyntax: 7,
  invalidMessageId: 9,
  invalidSpi: 11,
  noProposalChosen: 14,
  invalidKePayload: 17,
  authenticationFailed: 24,
  singlePairRequired: 34,
  noAdditionalSas: 35,
  internalAddressFailure: 36,
  failedCpRequired: 37,
  tsUnacceptable: 38,
  invalidSelectors: 39,
  temporaryFailure: 43,
  childSaNotFound: 44,
  initialContact: 16384,
  setWindowSize: 16385,
  additionalTsPossible: 16386,
  ipcompSupported: 16387,
  natDetectionSourceIp: 16388,
  natDetectionDestinationIp: 16389,
  cookie: 16390,
  useTransportMode: 16391,
  httpCertLookupSupported: 16392,
  rekeySa: 16393,
  espTfcPaddingNotSupported: 16394,
  nonFirstFragmentsAlso: 16395,
  mobikeSupported: 16396,
  ikeMessageIdSyncSupported: 16420,
  fragmentationSupported: 16430,
  signatureHashAlgorithms: 16431,
} as const;

export const firstStatusNotify = 16384;

/** RFC 7296 §3.10.1's own words. */
const notifyNames = new Map<number, string>(
  Object.entries({
    UNSUPPORTED_CRITICAL_PAYLOAD: 1,
    INVALID_IKE_SPI: 4,
    INVALID_MAJOR_VERSION: 5,
    INVALID_SYNTAX: 7,
    INVALID_MESSAGE_ID: 9,
    INVALID_SPI: 11,
    NO_PROPOSAL_CHOSEN: 14,
    INVALID_KE_PAYLOAD: 17,
    AUTHENTICATION_FAILED: 24,
    SINGLE_PAIR_REQUIRED: 34,
    NO_ADDITIONAL_SAS: 35,
    INTERNAL_ADDRESS_FAILURE: 36,
    FAILED_CP_REQUIRED: 37,
    TS_UNACCEPTABLE: 38,
    INVALID_SELECTORS: 39,
    TEMPORARY_FAILURE: 43,
    CHILD_SA_NOT_FOUND: 44,
  }).map(([name, type]) => [type, name]),
);

export const notifyName = (type: number): string => notifyNames.get(type) ?? `notify ${type}`;

export const configurationType = { request: 1, reply: 2, set: 3, ack: 4 } as const;
export const configurationAttribute = {
  internalIp4Address: 1,
  internalIp4Netmask: 2,
  internalIp4Dns: 3,
  applicationVersion: 7,
  internalIp6Address: 8,
  internalIp6Dns: 10,
  internalIp4Subnet: 13,
  supportedAttributes: 14,
  internalIp6Subnet: 15,
} as const;

/** RFC 7296 §2.23, 3948 */
export const ikePort = 500;
export const ikeNatPort = 4500;
