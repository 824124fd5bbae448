/** Our own bounds and tuning. Constants of RFCs live in wire/. */

/** What check holds a configuration to, and the values it fills in. */
export const limits = {
  fileBytes: 16 * 1024 * 1024,
  nesting: 64,
  nameLength: 63,
  /** the node-id has four bits of the IV, and 0 means none */
  nodeId: { least: 1, most: 15 },
  workers: { least: 1, most: 64, fallback: 1 },
  /** below what a jumbo frame holds behind its headroom, with Ethernet, ESP and an outer header */
  mtu: { least: 576, leastInet6: 1280, most: 9600, fallback: 1500 },
  vlanId: { least: 1, most: 4094 },
  unit: { least: 0, most: 16_385 },
  kernelRoutes: {
    interface: 'penstock0',
    /** 253…255 are the kernel's default, main and local */
    table: { least: 1, most: 0xffff_ffff, fallback: 100, taken: [253, 254, 255] },
    /** below are the kernel's own and those of daemons that came early (rtnetlink.h, rt_protos of iproute2) */
    protocol: {
      least: 19,
      most: 255,
      fallback: 200,
      taken: { 42: 'babel', 84: 'ovn', 186: 'bgp', 187: 'isis', 188: 'ospf', 189: 'rip', 192: 'eigrp' },
    },
  },
  tlb: {
    groups: 2_000,
    membersPerGroup: 256,
    realServices: 20_000,
    weight: { least: 1, most: 1_000, fallback: 1 },
    slowStartSeconds: { least: 0, most: 3_600 },
    probeIntervalSeconds: { least: 0.05, most: 180, fallback: 1 },
    timeoutSeconds: { least: 0.01, most: 180 },
    /** percent of the interval, each way */
    jitter: { least: 0, most: 50, fallback: 10 },
    retries: { least: 1, most: 16 },
    failureRetries: 5,
    recoveryRetries: 1,
    /** of one group */
    profilesPerGroup: 16,
    routeHoldSeconds: { least: 0, most: 86_400, fallback: 180 },
    tableSize: { least: 1, most: 1 << 20 },
    slackPercent: { least: 0, most: 100, fallback: 0 },
    /** of a probe's command */
    commandWords: 64,
  },
  /** next hops of one route */
  ecmp: { members: 256, weight: { least: 1, most: 1_000, fallback: 1 } },
  bfd: {
    /** 10 ms: what a worker that turns a few thousand times a second keeps to */
    intervalMs: { least: 10, most: 255_000 },
    multiplier: { least: 1, most: 255, fallback: 3 },
    ttl: { least: 1, most: 255, fallback: 1 },
    keyId: { least: 0, most: 255 },
    /** of keyed SHA1 */
    keyBytes: 20,
    sessions: 512,
  },
  /** metrics leave room for prepended AS numbers in the kernel's (routing/policy.ts) */
  policy: { metric: { least: 0, most: 9_999_999 } },
  preference: { least: 0, most: 4_294_967_295, fallback: 5 },
  ipsec: {
    vpns: 10_000,
    antiReplayWindow: { least: 64, most: 8_192, fallback: 64 },
    /** RFC 4303 §2.1: 0 is never sent, 1…255 are reserved */
    spi: { least: 256, most: 0xffff_ffff },
    inboundPerVpn: 256,
  },
  highAvailability: {
    /** BFD: RFC 5880 §6.8.3 wants no more than one packet a second until a session is up */
    liveness: {
      intervalMs: { least: 10, most: 60_000, fallback: 1_000 },
      multiplier: { least: 1, most: 255, fallback: 3 },
      keyId: { least: 0, most: 255 },
    },
    srg: {
      id: { least: 0, most: 64 },
      priority: { least: 1, most: 254, fallback: 100 },
      probeIntervalMs: { least: 10, most: 60_000, fallback: 1_000 },
      probeMultiplier: { least: 1, most: 255, fallback: 3 },
      virtualIps: 2_000,
    },
    monitor: { objects: 10, weight: { least: 1, most: 1_000, fallback: 100 } },
    sync: {
      /** a jump of numbers must stay below 2³¹, or a peer with ESN takes it for one back (RFC 4303 appendix A) */
      oseqShift: { least: 64, most: 0x4000_0000, fallback: 65_536 },
      periodPackets: { least: 0, most: 0x4000_0000, fallback: 2 },
      periodSeconds: { least: 0, most: 3_600, fallback: 10 },
      /** what one tunnel of the reference's load sends */
      packetRate: { least: 1, most: 100_000_000, fallback: 7_000 },
      /** design bound of the ICL */
      roundTripSeconds: 0.1,
    },
  },
  ike: {
    /** Junos has 180 at least; less is for laboratories */
    lifetimeSeconds: { least: 10, most: 86_400, fallback: 28_800 },
    childLifetimeSeconds: 3_600,
    lifetimeKilobytes: { least: 64, most: 4_294_967_294 },
    idleSeconds: { least: 10, most: 999_999 },
    probeSeconds: { least: 1, most: 60, fallback: 10 },
    probeThreshold: { least: 1, most: 5, fallback: 5 },
    keepaliveSeconds: { least: 1, most: 300, fallback: 20 },
    /** IPv4's least (RFC 7383 §2.5.1 has 576), a link's most */
    fragmentBytes: { least: 500, most: 9_600, fallback: 1_280 },
    connections: { least: 1, most: 50_000 },
    preSharedKeyBytes: { least: 8, most: 255 },
  },
  /** of the flow memory of virtual services, of each worker */
  flowLimit: { least: 1, most: 10_000_000, fallback: 262_144 },
  sessionLimit: { least: 1, most: 10_000_000, fallback: 262_144 },
} as const;

/** What the data plane is built with. Frames are chunks of 4 KiB. */
export const tuning = {
  framesPerWorker: 16_384,
  controlFrames: 1_024,
  /** frames of 12 KiB, for what a chunk does not hold */
  jumbosPerWorker: 1_024,
  /** that there is room for without being asked to: each takes address space, and locked memory where AF_XDP is used */
  spareWorkers: 4,
  /** frames, a power of two */
  handOverRing: 4_096,
  neighbourLimit: 65_536,
  /** of copies that wait for whoever captures, each worker; a power of two */
  captureRingBytes: 4 * 1024 * 1024,
  /** more than twice those of the configuration that a node starts with: the memory is touched once they are used */
  spareSas: 16_384,
  ike: {
    /** of a request that is not answered: 1, 2, 4, … 16 s; given up after the last */
    resendMs: 1_000,
    mostResends: 4,
    mostTries: 6,
    /** an exchange that was begun, and a CHILD SA that was deleted but may still get what is under way */
    halfOpenMs: 30_000,
    drainMs: 1_500,
    /** a peer that rekeyed and deletes nothing is sent to by the new keys after this */
    switchMs: 4_000,
    /** an SA that ended answers repetitions of what ended it */
    lingerMs: 5_000,
    /** after a refusal that will pass */
    retryMs: 4_000,
    /** an initiator begins anew, later each time */
    reconnectMs: 2_000,
    mostReconnectMs: 60_000,
    /** half-open SAs above which cookies are asked for, and the most that there may be */
    cookieThreshold: 200,
    mostHalfOpen: 20_000,
    cookieSecretMs: 60_000,
    mostSas: 60_000,
    mostChildren: 64,
    mostFragments: 64,
  },
  pair: {
    /** of hellos over the ICL while nothing changes */
    helloMs: 1_000,
    /** HOLD waits for the ICL at least so long */
    leastHoldMs: 2_000,
    /** what BFD sessions and echoes have to come up in, before their absence is a failure */
    graceMs: 3_000,
    /** routes have been there for so long before a preemption */
    routingSettleMs: 1_000,
    /** gratuitous ARP and unsolicited ND of virtual addresses: so many at once, so often, so many times */
    announceBurst: 200,
    announceMs: 10,
    announceRounds: 2,
    announceAgainMs: 1_000,
  },
  /** a change waits to be confirmed for a day at most; a timer that is asked for a month goes off at once */
  mostConfirmSeconds: 86_400,
} as const;
