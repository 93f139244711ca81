// A link to a page, such as #page-7, that is not among those shown asks for it.
const page = /^#page-(\d+)$/.exec(location.hash)?.[1];
const asked = new URLSearchParams(location.search).get('page');
if (page && asked !== page && !document.getElementById(`page-${page}`) && document.querySelector('.reading')) {
  location.replace(`${location.pathname}?page=${page}#page-${page}`);
}
