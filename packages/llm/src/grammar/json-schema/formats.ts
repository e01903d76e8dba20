import { GrammarError } from '../errors.ts';

const year = '[0-9]{4}';
const leapYear = '([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)';
const months31 = '(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])';
const months30 = '(0[469]|11)-(0[1-9]|[12][0-9]|30)';
const date = `(${year}-(${months31}|${months30}|02-(0[1-9]|1[0-9]|2[0-8]))|${leapYear}-02-29)`;
const clock = '([01][0-9]|2[0-3]):[0-5][0-9]';
const time = `${clock}:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]${clock})`;
const byte = '(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
const ipv4 = `${byte}(\\.${byte}){3}`;
const label = '[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?';
const hex4 = '[0-9a-fA-F]{1,4}';

/** Regular expressions of the formats that are known: each gives valid texts only, though not all of them. */
const formats: Readonly<Record<string, string>> = {
  date,
  time,
  'date-time': `${date}T${time}`,
  duration: 'P([0-9]{1,4}W|[0-9]{1,4}D|[0-9]{1,4}DT[0-9]{1,4}[HMS]|T[0-9]{1,4}[HMS])',
  uuid: '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}',
  ipv4,
  ipv6: `${hex4}(:${hex4}){7}`,
  hostname: `${label}(\\.${label}){0,3}`,
  email: `[a-zA-Z0-9_+-]{1,30}(\\.[a-zA-Z0-9_+-]{1,30}){0,1}@${label}(\\.${label}){1,2}`,
  uri: `https?://${label}(\\.${label}){1,2}(:[1-9][0-9]{0,3})?(/[a-zA-Z0-9._~-]*){0,8}(\\?[a-zA-Z0-9._~=&-]*)?(#[a-zA-Z0-9._~-]*)?`,
};

/** @throws GrammarError for a format that is not known */
export function formatPattern(name: string): string {
  if (!Object.hasOwn(formats, name))
    throw new GrammarError(`schema: format '${name}' is not supported; ${Object.keys(formats).join(', ')} are`);
  return formats[name]!;
}
