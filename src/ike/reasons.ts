/** Everything that IKE refuses or gives up, counted by these names. */
export const refusals = {
  malformed: 'no IKE message, or not one of its exchange',
  unknownSpi: 'of an IKE SA that is not here',
  authenticationTag: 'did not authenticate, or was repeated from another SA',
  unexpectedMessageId: 'outside of the window of one message',
  gatewayLookupFailed: 'Gateway lookup failed: no gateway for these addresses',
  halfOpenLimit: 'too many exchanges that were begun and not finished',
  cookieAsked: 'asked for a cookie first',
  cookieWrong: 'came with a cookie that is not ours, or too old',
  noProposal: 'no proposal in common (IKE SA)',
  wrongGroup: 'asked for another Diffie-Hellman group',
  badKeyExchange: 'a key exchange value that is none of its group',
  unknownIdentity: 'no gateway expects this identity',
  authenticationFailed: 'wrong pre-shared key, signature or certificate',
  connectionsLimit: 'the gateway has as many peers as it may have',
  noChildProposal: 'no proposal in common (CHILD SA)',
  tsUnacceptable: 'no traffic selector in common, or of another peer',
  tooManyChildren: 'too many CHILD SAs in one IKE SA',
  childNotFound: 'a CHILD SA to be rekeyed that is not here',
  temporary: 'not now: an exchange of ours is in the way',
  unknownCritical: 'a critical payload that is not known',
  unsupportedVersion: 'not version 2',
  timedOut: 'no answer',
  peerRefused: 'the peer refused',
} as const;

export type RefusalName = keyof typeof refusals;

export const refusalNames = Object.keys(refusals) as RefusalName[];
