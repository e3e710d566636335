/** What a route may answer with besides JSON and problem documents; `*` for whatever it finds. */
export function accepts(accept: string | undefined, produces: readonly string[]): boolean {
  if (accept === undefined || accept.trim() === '' || produces.includes('*')) return true;
  const offered = ['application/json', ...produces];
  return accept.split(',').some((part) => {
    const [range = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    if (parameters.some((parameter) => /^q=0(\.0{0,3})?$/.test(parameter))) return false;
    if (range === '*/*') return true;
    const [type, subtype] = range.split('/');
    return offered.some((offer) => offer === range || (subtype === '*' && offer.startsWith(`${type}/`)));
  });
}

/** Whether a route takes a body of this Content-Type: JSON in UTF-8, or one of `rawBody` (`*` for any). */
export function takes(contentType: string | undefined, rawBody: readonly string[] | undefined): boolean {
  const [mediaType = '', ...parameters] = (contentType ?? '').split(';').map((text) => text.trim().toLowerCase());
  if (rawBody) {
    // A form is never content: browsers send it without being asked.
    if (/^(application\/x-www-form-urlencoded|multipart\/.*)$/.test(mediaType)) return false;
    return rawBody.includes('*') ? /^[\w.+-]+\/[\w.+-]+$/.test(mediaType) : rawBody.includes(mediaType);
  }
  if (mediaType !== 'application/json') return false;
  return parameters.every((parameter) => !parameter.startsWith('charset=') || /^charset="?utf-8"?$/.test(parameter));
}
