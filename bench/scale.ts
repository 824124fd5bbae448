import { nativeBench } from './native-bench.js';
import type { Question } from './question.js';

export const scale: Question = {
  name: 'scale',
  title: 'Scale: 1, 2 and 4 gateways behind the router at one offered load',
  method:
    '10,000 tunnels, each on the gateway that the router’s table picks for its source; sealed packets of random tunnels go through router and gateways on one worker.',
  run: (effort) => nativeBench('path', ['--question', 'scale'], effort),
};
