/**
 * Cuts a network out of a cluster's /16.
 * @param cidr the /16, such as 10.10.0.0/16
 * @param thirdOctet where the subnet begins
 * @param length its prefix length, 16 to 24
 */
export function cut(cidr: string, thirdOctet: number, length: number): string {
  const [first = '', second = ''] = cidr.split('.');
  return `${first}.${second}.${thirdOctet}.0/${length}`;
}
